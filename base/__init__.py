"""What all packages share: errors, files, locks, processes, memory, failpoints, latencies."""
