"""Stage 1: the query and item towers, their losses, bulk encoding, and the vector index."""
