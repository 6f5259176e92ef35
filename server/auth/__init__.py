"""TLS certificates and bearer tokens, and the reloading of their files."""
