"""Recommendation beside tuned peers, and published sequences of ids."""
