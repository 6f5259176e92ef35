"""Data pipelines, training loops, metrics, evaluation, and `python -m train`."""
