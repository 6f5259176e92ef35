"""The catalogue that changes: write-ahead log, delta index, compaction and bundle store."""
