"""Exploration on the demo shop, whose true probabilities of clicks and purchases are known."""
