"""Log formats, metrics and traces for operators."""
