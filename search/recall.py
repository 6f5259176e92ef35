"""Stage 1: which items are worth a closer look, and which channel found them.

Channels are joined by score, not by rank: `cosine + weight * lexical share`. Both scores are known
exactly for every candidate, whichever channel found it, so an item is never put behind because the
other channel happened to cut it off. (On Home Depot's `dev`, this and reciprocal rank fusion
(Cormack et al., 2009) recall the same; this one orders better.)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int32

from catalog.catalogue import Catalogue
from lexical.index import LexicalIndex
from search import filtered
from search.growing import Growing
from search.ranking import lexical_shares, scores_behind
from search.records import Channel, Hit
from towers.exact import BLOCK, nearest, nearest_of
from towers.index import VectorIndex
from towers.sketch import Sketch
from towers.vectors import Vectors

_LEXICAL_FETCH = 2_048  # most items that the words are asked for on behalf of a filter
_MOST = 0.9  # of all rows pass a filter that hardly needs more hits than without it

# Which rows are looked at: items that pass a filter. None: all rows, which must be alive.
Allowed: TypeAlias = Bool[np.ndarray, " items"] | None


@dataclass(frozen=True)
class Candidates:
    """What stage 1 recalls, best first.

    Attributes:
        rows: Rows of the items.
        scores: What they are ordered by; falling.
        cosines: Of their vectors with the query's.
        ranks: By channel, the place that it gave each item, from 1; 0 where it did not find it.
        plan: How the dense channel searched within a filter (see `filtered.Plan`); else "".
    """

    rows: Int32[np.ndarray, " found"]
    scores: Float32[np.ndarray, " found"]
    cosines: Float32[np.ndarray, " found"]
    ranks: Mapping[Channel, Int32[np.ndarray, " found"]]
    plan: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def hits(self, catalogue: Catalogue, *, with_items: bool = False) -> tuple[Hit, ...]:
        """All of them, by id alone or with their items."""
        return tuple(
            Hit(
                catalogue.id(row),
                float(self.scores[place]),
                stage1_score=float(self.cosines[place]),
                channels=self.channels(place),
                item=catalogue.item(row) if with_items else None,
            )
            for place, row in enumerate(self.rows.tolist())
        )

    def channels(self, place: int) -> dict[Channel, int]:
        """The channels that found the candidate at a place, and the rank that each gave it."""
        ranks = {channel: int(ranks[place]) for channel, ranks in self.ranks.items()}
        return {channel: rank for channel, rank in ranks.items() if rank}


class Recall:
    """The channels of one catalogue."""

    def __init__(
        self,
        index: VectorIndex,
        vectors: Vectors,
        added: Growing,
        lexical: LexicalIndex,
        sketch: Sketch | None = None,
    ) -> None:
        """Take the channels.

        Args:
            index: Of the first rows.
            vectors: What it was built from.
            added: Vectors of the rows behind them, few enough to compare with every query.
            lexical: The lexical index of all rows.
            sketch: Of the indexed vectors; without one, all that pass a filter are compared.
        """
        self._index = index
        self._vectors = vectors
        self._growing = added
        self._added = added.values
        self._sketch = sketch
        self.lexical = lexical

    def extended_by(
        self, vectors: Float32[np.ndarray, "more dim"], lexical: LexicalIndex
    ) -> "Recall":
        """The same with more rows, and a lexical index that has them. For one thread at a time."""
        added = self._growing.followed_by(vectors) if len(vectors) else self._growing
        return Recall(self._index, self._vectors, added, lexical, self._sketch)

    def vectors(self, rows: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """Unit vectors of items."""
        size = len(self._vectors)
        if not len(self._added):
            return self._vectors.take(rows, axis=0)
        old = rows < size
        found = np.empty((len(rows), self._vectors.shape[1]), np.float32)
        found[old], found[~old] = (
            self._vectors.take(rows[old], axis=0),
            self._added[rows[~old] - size],
        )
        return found

    def nearest(
        self, vector: Float32[np.ndarray, " dim"], depth: int, allowed: Allowed = None
    ) -> Candidates:
        """The items nearest to a query's vector: never fewer than `depth` where there are more.

        With `allowed`, only items that it is true of are found, here and below.
        """
        plan, size = "", len(self._vectors)
        if allowed is None:
            found, scores = self._index.search(vector[None], depth)
            rows, cosines = found[0], scores[0]
        else:
            within = filtered.nearest(
                self._index, self._sketch, self._vectors, vector, depth, allowed[:size]
            )
            rows, cosines, plan = within.rows, within.cosines, within.plan
        if len(self._added):
            chosen = (
                np.arange(len(self._added)) if allowed is None else np.flatnonzero(allowed[size:])
            )
            more, their = nearest_of(self._added, vector, min(depth, len(chosen)), chosen)
            rows = np.concatenate([rows, more + np.int32(size)])
            cosines = np.concatenate([cosines, their])
            order = np.argsort(-cosines, kind="stable")[:depth]
            rows, cosines = rows[order], cosines[order]
        ranks = np.arange(1, len(rows) + 1, dtype=np.int32)
        return Candidates(rows, cosines, cosines, {Channel.DENSE: ranks}, plan)

    def matching(
        self,
        query: str,
        vector: Float32[np.ndarray, " dim"],
        depth: int,
        allowed: Allowed = None,
    ) -> Candidates:
        """The items that share most words with a query: fewer than `depth` where few share any.

        Within a filter it looks at the best `_LEXICAL_FETCH` of all items, and may miss others.
        """
        fetch = depth
        if allowed is not None:
            most_pass = np.count_nonzero(allowed) > _MOST * len(allowed)
            fetch = 2 * depth if most_pass else max(depth, _LEXICAL_FETCH)
        rows, scores = self.lexical.search(query, fetch)
        if allowed is not None:
            passed = np.flatnonzero(allowed[rows])[:depth]
            best, rows, scores = scores[:1], rows[passed], scores[passed]
        else:
            best = scores[:1]
        shares = scores / best if len(scores) else scores
        ranks = np.arange(1, len(rows) + 1, dtype=np.int32)
        return Candidates(rows, shares, self.cosines(vector, rows), {Channel.LEXICAL: ranks})

    def joined(
        self,
        query: str,
        vector: Float32[np.ndarray, " dim"],
        depth: int,
        lexical_weight: float,
        allowed: Allowed = None,
    ) -> Candidates:
        """The best of what both channels find: never fewer than `depth` where there are more.

        Args:
            query: The query.
            vector: Its unit vector.
            depth: Most candidates, and how many each channel is asked for.
            lexical_weight: What a lexical share of 1 is worth, in cosine; 0 leaves the words out.
            allowed: Which items pass a filter.
        """
        dense = self.nearest(vector, depth, allowed)
        if not lexical_weight:
            return dense
        lexical = self.matching(query, vector, depth, allowed)
        added = ~np.isin(lexical.rows, dense.rows)
        rows = np.concatenate([dense.rows, lexical.rows[added]])
        cosines = np.concatenate([dense.cosines, lexical.cosines[added]])
        shares = lexical_shares(self.lexical, query, dense.rows)
        scores = cosines + np.float32(lexical_weight) * np.concatenate(
            [shares, lexical.scores[added]]
        )
        order = np.argsort(-scores, kind="stable")[:depth]
        ranks = {
            Channel.DENSE: _places(dense.rows, rows[order]),
            Channel.LEXICAL: _places(lexical.rows, rows[order]),
        }
        return Candidates(rows[order], scores[order], cosines[order], ranks, dense.plan)

    def find(
        self,
        query: str,
        vector: Float32[np.ndarray, " dim"],
        depth: int,
        lexical_weight: float,
        channels: Collection[Channel] = tuple(Channel),
        allowed: Allowed = None,
    ) -> Candidates:
        """What the channels asked for find; see `joined`."""
        if set(channels) == {Channel.DENSE}:
            return self.nearest(vector, depth, allowed)
        if set(channels) == {Channel.LEXICAL}:
            return self.matching(query, vector, depth, allowed)
        return self.joined(query, vector, depth, lexical_weight, allowed)

    def extended(
        self,
        found: Candidates,
        vector: Float32[np.ndarray, " dim"],
        depth: int,
        allowed: Allowed = None,
    ) -> Candidates:
        """The same candidates, and behind them the nearest of the others until there are `depth`.

        Pages beyond the usual depth are cut from it, so that no item is on two of them.
        """
        nearest = self.nearest(vector, depth, allowed)
        new = ~np.isin(nearest.rows, found.rows)
        rows, cosines = nearest.rows[new], nearest.cosines[new]
        ranks = {
            channel: np.concatenate([of, _places(nearest.rows, rows)])
            if channel is Channel.DENSE
            else np.pad(of, (0, len(rows)))
            for channel, of in found.ranks.items()
        }
        return Candidates(
            np.concatenate([found.rows, rows])[:depth],
            np.concatenate([found.scores, scores_behind(found.scores, cosines)])[:depth],
            np.concatenate([found.cosines, cosines])[:depth],
            {channel: of[:depth] for channel, of in ranks.items()},
            nearest.plan,
        )

    def vector(self, row: int) -> Float32[np.ndarray, " dim"]:
        """The vector of an item."""
        size = len(self._vectors)
        return np.array(self._vectors[row] if row < size else self._added[row - size])

    def cosines(
        self, vector: Float32[np.ndarray, " dim"], rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Cosines of a query's vector with those of items."""
        return np.asarray(self.vectors(rows) @ vector)

    def exact(
        self, queries: Float32[np.ndarray, "queries dim"], k: int, alive: Bool[np.ndarray, " items"]
    ) -> Int32[np.ndarray, "queries k"]:
        """The k nearest items of each query, all items compared; all of them where fewer live."""
        living = np.flatnonzero(alive).astype(np.int32)
        parts = (living[start : start + BLOCK] for start in range(0, len(living), BLOCK))
        return nearest(((part, self.vectors(part)) for part in parts), queries, k)[0]

    def scores(
        self,
        query: str,
        vector: Float32[np.ndarray, " dim"],
        rows: Int32[np.ndarray, " items"],
        lexical_weight: float,
    ) -> Float32[np.ndarray, " items"]:
        """What `joined` would order items by, whether or not it would find them."""
        cosines = self.cosines(vector, rows)
        if not lexical_weight or not len(rows):
            return cosines
        return cosines + np.float32(lexical_weight) * lexical_shares(self.lexical, query, rows)

    def warm_up(self, depth: int) -> None:
        """Compile or touch whatever a first search at that depth would wait for."""
        self._index.warm_up(depth)
        if self._sketch is not None:
            self._sketch.warm_up(len(self._vectors))


def _places(
    ranked: Int32[np.ndarray, " ranked"], rows: Int32[np.ndarray, " rows"]
) -> Int32[np.ndarray, " rows"]:
    """The place of each row in a ranked list, from 1; 0 where it is not in it."""
    places = {row: place for place, row in enumerate(ranked.tolist(), start=1)}
    return np.fromiter((places.get(row, 0) for row in rows.tolist()), np.int32, len(rows))
