"""The lexical index: `search(query)` and `scores(query, rows)`."""
