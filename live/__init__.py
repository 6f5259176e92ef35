"""A catalogue that takes writes: write-ahead log, delta index, compaction and bundle store."""
