"""The commands of `python -m server`, and the loading of the server's settings."""
