"""Encoding, reranking and training steps, compared with other libraries."""
