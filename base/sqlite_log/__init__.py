"""A durable log in an SQLite file that one process has open, and other processes can copy."""
