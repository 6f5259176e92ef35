"""The gRPC services: their servicers, and the table that registers them."""
