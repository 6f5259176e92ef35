"""The engine that answers requests from a bundle. Knows nothing of gRPC."""
