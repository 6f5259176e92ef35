"""The effects of the rules of one search: exclusions, boosts, diversity, caps and pins."""
