"""Stage 1: which items are worth a closer look, and which channel found them.

Channels are joined by score, not by rank: the sum of each channel's score times its weight. All
scores are known exactly for every candidate, whichever channel found it, so an item is never put
behind because another channel happened to cut it off. (On Home Depot's `dev`, this and reciprocal
rank fusion (Cormack et al., 2009) recall the same; this one orders better.)
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from catalog.catalogue import Catalogue
from lexical.index import LexicalIndex
from search.channels.base import Allowed, Query, Ranked, Retriever
from search.channels.dense import Dense
from search.channels.lexical import Lexical
from search.result import Hit
from search.signals import scores_behind
from towers.exact import BLOCK, nearest


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
    ranks: Mapping[str, Int32[np.ndarray, " found"]]
    plan: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def hits(self, catalogue: Catalogue, *, with_items: bool = False) -> tuple[Hit, ...]:
        """All of them, by id alone or with their items."""
        return tuple(
            Hit(
                catalogue.id(row),
                float(self.scores[place]),
                dense_score=float(self.cosines[place]),
                recall_score=float(self.scores[place]),
                channels=self.channels(place),
                item=catalogue.item(row) if with_items else None,
            )
            for place, row in enumerate(self.rows.tolist())
        )

    def channels(self, place: int) -> dict[str, int]:
        """The channels that found the candidate at a place, and the rank that each gave it."""
        ranks = {channel: int(ranks[place]) for channel, ranks in self.ranks.items()}
        return {channel: rank for channel, rank in ranks.items() if rank}


class Recall:
    """The channels of one catalogue, and what they find together."""

    def __init__(self, dense: Dense, lexical: Lexical, *others: Retriever) -> None:
        """Take the channels, the dense one first: its cosines are told of every candidate."""
        self._dense = dense
        self._lexical = lexical
        self._others = others
        self._channels: tuple[Retriever, ...] = (dense, lexical, *others)

    @property
    def lexical(self) -> LexicalIndex:
        """The lexical index of all rows."""
        return self._lexical.index

    def extended_by(
        self, vectors: Float32[np.ndarray, "more dim"], lexical: LexicalIndex
    ) -> "Recall":
        """The same with more rows, and a lexical index that has them. For one thread at a time."""
        return Recall(self._dense.followed_by(vectors), Lexical(lexical), *self._others)

    def find(
        self,
        query: Query,
        depth: int,
        weights: Mapping[str, float],
        channels: Collection[str] | None = None,
        allowed: Allowed = None,
    ) -> Candidates:
        """The best of what channels find: with the dense one never fewer than there are.

        Args:
            query: The query.
            depth: Most candidates, and how many each channel is asked for.
            weights: By channel, what a score of 1 is worth. Of several channels those without
                weight are left out; one alone gives its own scores, whatever its weight.
            channels: Names of the channels that are asked; None for all.
            allowed: Which items pass a filter; no others are found.
        """
        asked = [c for c in self._channels if channels is None or c.name in channels]
        if len(asked) > 1:
            asked = [channel for channel in asked if weights.get(channel.name)]
        if len(asked) == 1:
            weights = {asked[0].name: 1.0}
        found = [channel.search(query, depth, allowed) for channel in asked]
        rows = _each_once([ranked.rows for ranked in found])
        total = np.zeros(len(rows), np.float32)
        scores, places = {}, {}
        for channel, ranked in zip(asked, found, strict=True):
            name = channel.name
            places[name] = _places(ranked.rows, rows)
            scores[name] = _scores(channel, query, ranked, rows, places[name])
            total += np.float32(weights[name]) * scores[name]
        order = np.argsort(-total, kind="stable")[:depth]
        rows, dense = rows[order], scores.get(self._dense.name)
        return Candidates(
            rows,
            total[order],
            self._dense.scores(query, rows) if dense is None else dense[order],
            {name: of[order] for name, of in places.items()},
            "".join(ranked.plan for ranked in found),
        )

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"], weights: Mapping[str, float]
    ) -> Float32[np.ndarray, " items"]:
        """What `find` would order items by, whether or not it would find them."""
        total = np.zeros(len(rows), np.float32)
        for channel in self._channels:
            if weight := weights.get(channel.name):
                total += np.float32(weight) * channel.scores(query, rows)
        return total

    def nearest(
        self, vector: Float32[np.ndarray, " dim"], depth: int, allowed: Allowed = None
    ) -> Candidates:
        """The items nearest to a vector: never fewer than `depth` where there are more."""
        return self.find(Query("", vector), depth, {}, (self._dense.name,), allowed)

    def extended(
        self, found: Candidates, query: Query, depth: int, allowed: Allowed = None
    ) -> Candidates:
        """The same candidates, and behind them the nearest of the others until there are `depth`.

        Pages beyond the usual depth are cut from it, so that no item is on two of them.
        """
        nearest = self._dense.search(query, depth, allowed)
        new = ~np.isin(nearest.rows, found.rows)
        rows, cosines = nearest.rows[new], nearest.scores[new]
        ranks = {
            channel: np.concatenate([of, _places(nearest.rows, rows)])
            if channel == self._dense.name
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

    def vectors(self, rows: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """Unit vectors of items."""
        return self._dense.vectors(rows)

    def vector(self, row: int) -> Float32[np.ndarray, " dim"]:
        """The vector of an item."""
        [vector] = self.vectors(np.array([row], np.int32))
        return np.asarray(vector)

    def cosines(
        self, vector: Float32[np.ndarray, " dim"], rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Cosines of a query's vector with those of items."""
        return self._dense.cosines(vector, rows)

    def exact(
        self,
        queries: Float32[np.ndarray, "queries dim"],
        k: int,
        alive: Bool[np.ndarray, " items"],
        before_each: Callable[[], object] = lambda: None,
    ) -> Int32[np.ndarray, "queries k"]:
        """The k nearest items of each query, all items compared; all of them where fewer live.

        `before_each` is called before each block of some thousand items.
        """
        living = np.flatnonzero(alive).astype(np.int32)

        def blocks() -> Iterator[tuple[Int32[np.ndarray, " _"], Float32[np.ndarray, "_ dim"]]]:
            for start in range(0, len(living), BLOCK):
                before_each()
                part = living[start : start + BLOCK]
                yield part, self.vectors(part)

        return nearest(blocks(), queries, k)[0]

    def warm_up(self, depth: int) -> None:
        """Compile or touch whatever a first search at that depth would wait for."""
        self._dense.warm_up(depth)


def _each_once(lists: Sequence[Int32[np.ndarray, "_"]]) -> Int32[np.ndarray, " rows"]:
    """The rows of all lists, one list behind the other, each where it comes first."""
    if len(lists) == 1:
        return lists[0]
    rows = np.concatenate(lists)
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]


def _places(
    ranked: Int32[np.ndarray, " ranked"], rows: Int32[np.ndarray, " rows"]
) -> Int32[np.ndarray, " rows"]:
    """The place of each row in a ranked list, from 1; 0 where it is not in it."""
    if rows is ranked:
        return np.arange(1, len(rows) + 1, dtype=np.int32)
    places = {row: place for place, row in enumerate(ranked.tolist(), start=1)}
    return np.fromiter((places.get(row, 0) for row in rows.tolist()), np.int32, len(rows))


def _scores(
    channel: Retriever,
    query: Query,
    ranked: Ranked,
    rows: Int32[np.ndarray, " rows"],
    places: Int32[np.ndarray, " rows"],
) -> Float32[np.ndarray, " rows"]:
    """A channel's scores of rows, of which it has given those at places above 0 already."""
    scores = np.empty(len(rows), np.float32)
    known = places > 0
    scores[known] = ranked.scores[places[known] - 1]
    scores[~known] = channel.scores(query, rows[~known])
    return scores
