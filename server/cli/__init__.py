"""The commands of `python -m server` and the sources of their settings."""
