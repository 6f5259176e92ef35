"""Read and validate a dataset directory."""
