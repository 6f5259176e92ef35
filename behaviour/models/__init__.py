"""Models that count events: each is fitted from `Interactions` and scores all items."""
