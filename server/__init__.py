"""The gRPC server around the search engine, and its command line, `python -m server`."""
