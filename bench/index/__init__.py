"""The vector index, compared with other libraries."""
