"""Training examples: relevance, candidate lists and batches."""
