"""People: who asks, what they did before, and why an item was recommended."""
