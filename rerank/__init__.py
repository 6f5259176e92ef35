"""The reranker: a cross-encoder, its additional features, and the ranking losses."""
