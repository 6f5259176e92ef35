"""The write-ahead log of the live catalogue: write it, read it, and merge it into a dataset."""
