"""Helpers that all packages use: errors, files, locks, processes, memory, failpoints, latencies."""
