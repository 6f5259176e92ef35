"""Results of the comparisons, and tables of them."""
