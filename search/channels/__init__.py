"""The recall channels, one file each, and how their scores are combined."""
