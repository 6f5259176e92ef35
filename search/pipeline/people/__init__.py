"""The steps of a request that concern people: their history, recommendations and reasons."""
