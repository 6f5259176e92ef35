"""The understanding of a query: one step before recall, whose result both stages use.

Each kind of understanding has its own file. `understanding.py` applies all kinds in order, and
`interpretation.py` has the result.
"""
