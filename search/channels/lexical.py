"""The lexical channel: the items that share words with the query."""

import numpy as np
from jaxtyping import Float32, Int32

from lexical.index import LexicalIndex
from search.channels import filtered
from search.channels.base import Allowed, Query, Ranked
from search.result import Channel
from search.signals import lexical_shares

# What scoring one row by words costs, in hits of a search by words: two microseconds, and 0.65.
_ROW_COST = 3


class Lexical:
    """The items that share words with the query, by their share of the best score any item has.

    Attributes:
        index: The lexical index of all rows.
    """

    name = Channel.LEXICAL

    def __init__(self, index: LexicalIndex) -> None:
        """Take the index."""
        self.index = index

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> Ranked:
        """The items that share most words: fewer than `depth` only where fewer share any."""
        if allowed is None:
            rows, scores = self.index.search(query.text, depth)
            return Ranked(rows, scores / scores[:1])
        # The index knows nothing of filters: it is asked for more until enough of that pass or
        # there is no more, or it costs less to score all that pass. It is asked for something even
        # where these are few: most queries have few hits.
        matches = int(np.count_nonzero(allowed))
        depth, most = min(depth, matches), _ROW_COST * matches
        fetch = min(filtered.enough(depth, max(matches, 1) / len(allowed)), most)
        while 0 < fetch <= most:
            rows, scores = self.index.search(query.text, fetch)
            passed = np.flatnonzero(allowed[rows])[:depth]
            if len(passed) == depth or len(rows) < fetch:
                return Ranked(rows[passed], scores[passed] / scores[:1])
            fetch *= 2
        rows = np.flatnonzero(allowed).astype(np.int32)
        shares = self.scores(query, rows)
        order = np.argsort(-shares, kind="stable")[:depth]
        order = order[shares[order] > 0]
        return Ranked(rows[order], shares[order])

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Shares of items; 0 where they share no word."""
        return lexical_shares(self.index, query.text, rows)
