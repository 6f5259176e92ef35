"""The lexical channel: the items that share words with the query."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32

from base.errors import InputError
from catalog.catalogue import Catalogue
from catalog.items import Item
from lexical.highlights import Highlight, highlights
from lexical.index import LexicalIndex
from lexical.live_index import LiveLexicalIndex
from search import bundle as bundle_files
from search.bundle import Manifest
from search.channels import filtered
from search.channels.base import AddedRows, Allowed, ChannelHits, Query
from search.request import LEXICAL

# Scoring one row takes about this many times as long as one hit of an index search: 2 microseconds
# instead of 0.65.
_ROW_COST = 3
_CACHED_WORDS = 8_192  # number of words of items whose terms are kept for highlights


class LexicalChannel:
    """Finds items that share words with the query. Scores are BM25 / the best BM25 of any item.

    Attributes:
        index: The lexical index of all rows.
    """

    name: ClassVar[str] = LEXICAL
    # On Home Depot's `dev` split, recall is about the same for weights from 0.4 to 1 and lower for
    # smaller weights (`bench.quality.recall`).
    default_weight: ClassVar[float] = 0.4

    def __init__(self, index: LexicalIndex) -> None:
        """Search an index."""
        self.index = index
        self._word_terms = lru_cache(_CACHED_WORDS)(
            lambda text: frozenset(index.schema.terms(text))
        )

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "LexicalChannel":
        """Open the lexical index of a bundle; see `Channel.open`."""
        directory = bundle / bundle_files.LEXICAL
        index = LexicalIndex.open(directory)
        if len(index) != len(catalogue):
            raise InputError(f"{directory} has {len(index)} rows for {len(catalogue)} items")
        return cls(index)

    def writer(self, bundle: Path, manifest: Manifest, scratch: Path) -> "LexicalWriter":
        """Return a writer that adds rows to the index; see `Channel.writer`."""
        bundle_files.require_unchanged(bundle, manifest, bundle_files.LEXICAL)
        return LexicalWriter(LiveLexicalIndex(bundle / bundle_files.LEXICAL, self.index, scratch))

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` items with the best BM25; fewer only if fewer items share a word."""
        terms = self._terms(query)
        if allowed is None:
            rows, scores = self.index.search(terms, depth)
            return ChannelHits(rows, scores / scores[:1])
        # The index cannot filter. Fetch more hits until enough of them pass, unless scoring all
        # items that pass takes less time. Fetch at least once: most queries have few hits, and then
        # one fetch returns all of them.
        matches = int(np.count_nonzero(allowed))
        depth, max_fetch = min(depth, matches), _ROW_COST * matches
        fetch = min(filtered.enough(depth, max(matches, 1) / len(allowed)), max_fetch)
        while 0 < fetch <= max_fetch:
            rows, scores = self.index.search(terms, fetch)
            passed = np.flatnonzero(allowed[rows])[:depth]
            if len(passed) == depth or len(rows) < fetch:
                return ChannelHits(rows[passed], scores[passed] / scores[:1])
            fetch *= 2
        rows = np.flatnonzero(allowed).astype(np.int32)
        shares = self.scores(query, rows)
        order = np.argsort(-shares, kind="stable")[:depth]
        order = order[shares[order] > 0]
        return ChannelHits(rows[order], shares[order])

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return each item's BM25 / the best BM25 of any item; 0 if the item has no query word."""
        shares: Float32[np.ndarray, " items"] = np.zeros(len(rows), np.float32)
        if len(rows):
            terms = self._terms(query)
            _, best = self.index.search(terms, 1)
            if len(best):
                shares = self.index.scores(terms, rows) / best[0]
        return shares

    def highlights(self, query: Query, items: Sequence[Item]) -> list[tuple[Highlight, ...]]:
        """Return the words of each item that match the query."""
        wanted = self._terms(query).keys()
        return [highlights(item, wanted, self._word_terms) for item in items]

    def _terms(self, query: Query) -> dict[str, float]:
        """Return the terms to search for, each with its weight."""
        text = query.text if query.lexical_text is None else query.lexical_text
        return self.index.weighted_terms(text, query.alternatives, query.language)

    def warm_up(self, depth: int) -> None:
        """Do nothing: the index is mapped into memory and needs no compilation."""


class LexicalWriter:
    """Adds rows to the lexical channel, and removes dead rows from its index."""

    def __init__(self, index: LiveLexicalIndex) -> None:
        """Write to an index."""
        self._index = index

    def extended(self, added: AddedRows) -> LexicalChannel:
        """Return the channel with more rows; see `ChannelWriter.extended`."""
        dead, items = set(added.dead), dict(enumerate(added.items, start=added.first))
        alive = {row: item for row, item in items.items() if row not in dead}
        return LexicalChannel(self._index.update(alive, dead, added.first + len(items)))

    def close(self) -> None:
        """Close the index and remove its temporary files."""
        self._index.close()
