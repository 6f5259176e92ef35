"""Evaluation of recommendations: cuts by time, metrics with averaged ties, and reports."""
