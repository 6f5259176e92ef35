"""The commands of `python -m server`, and where their settings come from."""
