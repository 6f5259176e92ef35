"""What requests share: batches, caches, deadlines and the CPU limit."""
