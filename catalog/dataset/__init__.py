"""The dataset directory: reading and validation."""
