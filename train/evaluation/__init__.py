"""Runs, metrics and the report of an evaluation."""
