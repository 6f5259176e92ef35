"""The runtime of requests: batching, caches, deadlines, stage timers and the CPU limit."""
