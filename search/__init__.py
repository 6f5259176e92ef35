"""The engine, which answers requests from a bundle. This package does not depend on gRPC."""
