"""The gRPC service around the engine, and `python -m server`."""
