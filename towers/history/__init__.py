"""The user side of the towers: histories of events as vectors in the space of the items."""
