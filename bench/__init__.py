"""Comparisons with what people use today: `make bench`. Nothing here is imported by the project."""
