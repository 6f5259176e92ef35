"""The two-stage engine and the bundle it runs from. Knows nothing of gRPC."""
