"""What every package stands on: errors, files, locks, memory, failpoints and latency estimates."""
