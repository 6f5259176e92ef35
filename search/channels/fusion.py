"""Fusion: the channels of one catalogue, and the candidates that they find together.

The recall score is the weighted sum of the scores of all channels. Every score is known exactly for
every candidate, whichever channel found it, so no candidate loses because another channel cut it
off. (On Home Depot's `dev`, this sum and reciprocal rank fusion (Cormack et al., 2009) recall the
same items; the sum orders them better.)
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from catalog.catalogue import Catalogue
from search.channels.base import AddedRows, Allowed, Channel, ChannelHits, Query
from search.channels.dense import DenseChannel
from search.channels.lexical import LexicalChannel
from search.ordering import scores_behind
from search.request import DENSE
from search.result import Hit
from towers.exact import BLOCK, nearest


@dataclass(frozen=True)
class Candidates:
    """What recall finds, best first.

    Attributes:
        rows: Rows of the items.
        scores: Their recall scores; falling.
        dense_scores: Cosines of their vectors with the vector of the query.
        ranks: By channel, the rank that it gave each item, from 1; 0 where it did not find it.
        plan: How the dense channel searched within a filter (see `filtered.Plan`); else "".
    """

    rows: Int32[np.ndarray, " candidates"]
    scores: Float32[np.ndarray, " candidates"]
    dense_scores: Float32[np.ndarray, " candidates"]
    ranks: Mapping[str, Int32[np.ndarray, " candidates"]]
    plan: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def hits(self, catalogue: Catalogue, *, with_items: bool = False) -> tuple[Hit, ...]:
        """Return all of them, by id alone or with their items."""
        return tuple(
            Hit(
                catalogue.id(row),
                float(self.scores[position]),
                dense_score=float(self.dense_scores[position]),
                recall_score=float(self.scores[position]),
                channels=self.channels(position),
                item=catalogue.item(row) if with_items else None,
            )
            for position, row in enumerate(self.rows.tolist())
        )

    def channels(self, position: int) -> dict[str, int]:
        """Return the channels that found the candidate at a position, and its rank in each."""
        ranks = {channel: int(ranks[position]) for channel, ranks in self.ranks.items()}
        return {channel: rank for channel, rank in ranks.items() if rank}


class Channels:
    """The channels of one catalogue."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        """Take the channels; the dense one must be among them."""
        self._channels = tuple(channels)
        self._by_name = {channel.name: channel for channel in channels}

    @property
    def dense(self) -> DenseChannel:
        """The dense channel: it has a vector of every item, and finds any number of items."""
        channel = self._by_name[DENSE]
        assert isinstance(channel, DenseChannel)
        return channel

    @property
    def lexical(self) -> LexicalChannel:
        """The lexical channel, whose index the features of the reranker read too."""
        return next(each for each in self._channels if isinstance(each, LexicalChannel))

    def extended(self, added: AddedRows) -> "Channels":
        """Return the channels with more rows. Only one thread at a time may extend them."""
        return Channels([channel.extended(added) for channel in self._channels])

    def recall(
        self,
        query: Query,
        depth: int,
        weights: Mapping[str, float],
        names: Collection[str] = (),
        allowed: Allowed = None,
    ) -> Candidates:
        """Return the best of what channels find: as many as there are if dense is among them.

        Args:
            query: The query.
            depth: Most candidates, and how many each channel is asked for.
            weights: By channel, the weight of its scores in the recall score. Of several channels,
                those without weight are not asked; a single channel gives its own scores.
            names: The channels to ask; empty for all.
            allowed: Which items pass a filter; no others are found.
        """
        asked = [channel for channel in self._channels if not names or channel.name in names]
        if len(asked) > 1:
            asked = [channel for channel in asked if weights.get(channel.name)]
        if len(asked) == 1:
            weights = {asked[0].name: 1.0}
        hits = {channel.name: channel.search(query, depth, allowed) for channel in asked}
        rows = _union([each.rows for each in hits.values()])
        total = np.zeros(len(rows), np.float32)
        scores, ranks = {}, {}
        for channel in asked:
            name = channel.name
            ranks[name] = _ranks(hits[name].rows, rows)
            scores[name] = _scores(channel, query, hits[name], rows, ranks[name])
            total += np.float32(weights[name]) * scores[name]
        order = np.argsort(-total, kind="stable")[:depth]
        rows, dense = rows[order], scores.get(DENSE)
        return Candidates(
            rows,
            total[order],
            self.dense.scores(query, rows) if dense is None else dense[order],
            {name: of_channel[order] for name, of_channel in ranks.items()},
            "".join(each.plan for each in hits.values()),
        )

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"], weights: Mapping[str, float]
    ) -> Float32[np.ndarray, " items"]:
        """Return the recall scores of any items, whether or not `recall` would find them."""
        total = np.zeros(len(rows), np.float32)
        for channel in self._channels:
            if weight := weights.get(channel.name):
                total += np.float32(weight) * channel.scores(query, rows)
        return total

    def nearest(
        self, vector: Float32[np.ndarray, " dim"], depth: int, allowed: Allowed = None
    ) -> Candidates:
        """Return the items nearest to a vector: never fewer than `depth` where there are more."""
        return self.recall(Query("", vector), depth, {}, (DENSE,), allowed)

    def deepened(
        self, candidates: Candidates, query: Query, depth: int, allowed: Allowed = None
    ) -> Candidates:
        """Return the candidates with the nearest other items behind them, up to `depth`.

        Pages beyond the recall depth are cut from this list, so no item is on two pages.
        """
        nearest_hits = self.dense.search(query, depth, allowed)
        is_new = ~np.isin(nearest_hits.rows, candidates.rows)
        rows, cosines = nearest_hits.rows[is_new], nearest_hits.scores[is_new]
        ranks = {
            channel: np.concatenate([of_channel, _ranks(nearest_hits.rows, rows)])
            if channel == DENSE
            else np.pad(of_channel, (0, len(rows)))
            for channel, of_channel in candidates.ranks.items()
        }
        behind = scores_behind(candidates.scores, cosines)
        return Candidates(
            np.concatenate([candidates.rows, rows])[:depth],
            np.concatenate([candidates.scores, behind])[:depth],
            np.concatenate([candidates.dense_scores, cosines])[:depth],
            {channel: of_channel[:depth] for channel, of_channel in ranks.items()},
            nearest_hits.plan,
        )

    def vectors(self, rows: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """Return the unit vectors of items."""
        return self.dense.vectors(rows)

    def vector(self, row: int) -> Float32[np.ndarray, " dim"]:
        """Return the unit vector of an item."""
        [vector] = self.vectors(np.array([row], np.int32))
        return np.asarray(vector)

    def exact(
        self,
        queries: Float32[np.ndarray, "queries dim"],
        k: int,
        alive: Bool[np.ndarray, " items"],
        before_each: Callable[[], object] = lambda: None,
    ) -> Int32[np.ndarray, "queries k"]:
        """Return the k nearest items of each query by comparing all items.

        Args:
            queries: Unit vectors.
            k: How many items; all live ones where there are fewer.
            alive: Which rows are items.
            before_each: Called before each block of some thousand items.
        """
        live_rows = np.flatnonzero(alive).astype(np.int32)

        def blocks() -> Iterator[tuple[Int32[np.ndarray, " _"], Float32[np.ndarray, "_ dim"]]]:
            for start in range(0, len(live_rows), BLOCK):
                before_each()
                block = live_rows[start : start + BLOCK]
                yield block, self.vectors(block)

        return nearest(blocks(), queries, k)[0]

    def warm_up(self, depth: int) -> None:
        """Compile or load whatever a first search at that depth would wait for."""
        for channel in self._channels:
            channel.warm_up(depth)


def _union(lists: Sequence[Int32[np.ndarray, "_"]]) -> Int32[np.ndarray, " rows"]:
    """Return the rows of all lists, one list after the other, each row where it comes first."""
    if len(lists) == 1:
        return lists[0]
    rows = np.concatenate(lists)
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]


def _ranks(
    ranked: Int32[np.ndarray, " ranked"], rows: Int32[np.ndarray, " rows"]
) -> Int32[np.ndarray, " rows"]:
    """Return the rank of each row in a ranked list, from 1; 0 where it is not in the list."""
    if rows is ranked:
        return np.arange(1, len(rows) + 1, dtype=np.int32)
    ranks = {row: rank for rank, row in enumerate(ranked.tolist(), start=1)}
    return np.fromiter((ranks.get(row, 0) for row in rows.tolist()), np.int32, len(rows))


def _scores(
    channel: Channel,
    query: Query,
    hits: ChannelHits,
    rows: Int32[np.ndarray, " rows"],
    ranks: Int32[np.ndarray, " rows"],
) -> Float32[np.ndarray, " rows"]:
    """Return a channel's scores of rows; `hits` has those of ranks above 0 already."""
    scores = np.empty(len(rows), np.float32)
    known = ranks > 0
    scores[known] = hits.scores[ranks[known] - 1]
    scores[~known] = channel.scores(query, rows[~known])
    return scores
