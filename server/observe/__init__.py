"""What operators see: log formats, metrics and traces."""
