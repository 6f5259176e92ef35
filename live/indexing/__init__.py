"""Indexing of written items: their vectors, the delta index, and the delta index in use."""
