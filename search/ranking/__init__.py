"""How scores make an order: weights of scores, order of results, and popularity."""
