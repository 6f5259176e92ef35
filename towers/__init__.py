"""The query and item towers, their losses, bulk encoding, and the vector index."""
