"""The reranker: a cross-encoder, the features it is fused with, and the ranking losses."""
