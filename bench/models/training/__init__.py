"""Training steps, compared with other libraries."""
