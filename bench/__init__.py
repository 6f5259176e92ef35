"""Benchmarks and comparisons with other libraries (`make bench`); no product code imports them."""
