"""Effects of settings on the quality of results."""
