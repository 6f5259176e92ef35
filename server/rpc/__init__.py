"""The gRPC methods, one servicer a service."""
