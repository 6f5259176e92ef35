"""Exploration: show uncertain items at some positions, with known probabilities."""
