"""A server under overload, abuse, restarts and bundle swaps."""
