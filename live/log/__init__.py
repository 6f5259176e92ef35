"""The write-ahead log of the live catalogue: its fields, how it is read, merged and written."""
