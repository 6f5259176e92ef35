"""The channels of stage 1: each finds items for a query in its own way, and scores any item.

They are joined by `recall`, which knows them as `Retriever`s. One more channel is one more class, a
member of `Channel`, a weight in `EngineConfig.weights` and a place in `View.open`; for requests to
name it, a member of the contract's Channel, too.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32

from lexical.index import LexicalIndex
from search import filtered
from search.growing import Growing
from search.ranking import lexical_shares
from search.records import Channel
from towers.exact import nearest_of
from towers.index import VectorIndex
from towers.sketch import Sketch
from towers.vectors import Vectors

# What scoring one row by words costs, in hits of a search by words: two microseconds, and 0.65.
_ROW_COST = 3

# Which rows are looked at: items that pass a filter. None: all rows, which must be alive.
Allowed: TypeAlias = Bool[np.ndarray, " items"] | None


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        text: What was typed, in its normal form.
        vector: Its unit vector.
    """

    text: str
    vector: Float32[np.ndarray, " dim"]


@dataclass(frozen=True)
class Ranked:
    """What one channel finds, best first.

    Attributes:
        rows: Rows of the items, each once.
        scores: The channel's scores of them; falling.
        plan: How it searched within a filter (see `filtered.Plan`); else "".
    """

    rows: Int32[np.ndarray, " found"]
    scores: Float32[np.ndarray, " found"]
    plan: str = ""


@runtime_checkable
class Retriever(Protocol):
    """A channel. Its best scores are about 1, so that weights can set channels against each other.

    A score depends on query and item alone: neither on a filter, nor on what else is found.
    """

    @property
    def name(self) -> str:
        """What results call it."""

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> Ranked:
        """The `depth` best items for a query; fewer where the channel finds fewer.

        With `allowed`, only items that it is true of are found.
        """

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """The scores of any items, whether or not `search` would find them."""


class Dense:
    """The items nearest to the query's vector, by cosine: as many as there are."""

    name = Channel.DENSE

    def __init__(
        self,
        index: VectorIndex,
        vectors: Vectors,
        added: Growing,
        sketch: Sketch | None = None,
    ) -> None:
        """Take an index and what lies behind it.

        Args:
            index: Of the first rows.
            vectors: What it was built from.
            added: Vectors of the rows behind them, few enough to compare with every query.
            sketch: Of the indexed vectors; without one, all that pass a filter are compared.
        """
        self._index = index
        self._vectors = vectors
        self._growing = added
        self._added = added.values
        self._sketch = sketch

    def followed_by(self, more: Float32[np.ndarray, "more dim"]) -> "Dense":
        """The same with more rows. For one thread at a time."""
        added = self._growing.followed_by(more) if len(more) else self._growing
        return Dense(self._index, self._vectors, added, self._sketch)

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> Ranked:
        """The nearest items: never fewer than `depth` where there are more."""
        plan, size = "", len(self._vectors)
        if allowed is None:
            found, scores = self._index.search(query.vector[None], depth)
            rows, cosines = found[0], scores[0]
        else:
            within = filtered.nearest(
                self._index, self._sketch, self._vectors, query.vector, depth, allowed[:size]
            )
            rows, cosines, plan = within.rows, within.cosines, within.plan
        if len(self._added):
            chosen = (
                np.arange(len(self._added)) if allowed is None else np.flatnonzero(allowed[size:])
            )
            more, their = nearest_of(self._added, query.vector, min(depth, len(chosen)), chosen)
            rows = np.concatenate([rows, more + np.int32(size)])
            cosines = np.concatenate([cosines, their])
            order = np.argsort(-cosines, kind="stable")[:depth]
            rows, cosines = rows[order], cosines[order]
        return Ranked(rows, cosines, plan)

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Cosines of the query's vector with those of items."""
        return self.cosines(query.vector, rows)

    def cosines(
        self, vector: Float32[np.ndarray, " dim"], rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Cosines of a vector with those of items."""
        return np.asarray(self.vectors(rows) @ vector)

    def vectors(self, rows: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """Unit vectors of items."""
        size = len(self._vectors)
        if not len(self._added):
            return self._vectors.take(rows, axis=0)
        old = rows < size
        found = np.empty((len(rows), self._vectors.shape[1]), np.float32)
        found[old] = self._vectors.take(rows[old], axis=0)
        found[~old] = self._added[rows[~old] - size]
        return found

    def warm_up(self, depth: int) -> None:
        """Compile or touch whatever a first search at that depth would wait for."""
        self._index.warm_up(depth)
        if self._sketch is not None:
            self._sketch.warm_up(len(self._vectors))


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
