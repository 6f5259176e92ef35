"""Off-policy estimates: how another ranking would have done, from events with propensities."""
