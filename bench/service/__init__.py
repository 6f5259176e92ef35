"""Speed and memory of a running server."""
