"""Inputs, and timing of contestants in turns."""
