"""How scores make an order: candidates, weights of scores, order of results, and popularity."""
