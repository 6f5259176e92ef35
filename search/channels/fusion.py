"""Fusion: combine the candidates and the scores of all channels of a catalogue.

The recall score is the weighted sum of the scores of all channels. Each channel scores all
candidates exactly, including candidates that only another channel found. So a candidate also has a
score in each channel that did not find it. On Home Depot's `dev` split, this sum and reciprocal
rank fusion (Cormack et al., 2009) recall the same items, but the sum orders them better.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float32, Int32

from catalog.catalogue import Catalogue
from lexical.index import LexicalIndex
from search.bundle import BundleError, Manifest
from search.channels import CHANNELS, ChannelTypes
from search.channels.base import (
    AddedRows,
    Allowed,
    Channel,
    ChannelHits,
    PersonalChannel,
    Query,
)
from search.channels.dense import DenseChannel
from search.channels.history import HistoryChannel
from search.channels.lexical import LexicalChannel
from search.channels.user_tower import UserTowerChannel
from search.ranking.candidates import Candidates, ChannelScores
from search.ranking.ordering import scores_behind
from search.request import DENSE, LEXICAL
from search.runtime.deadline import caller_check
from towers.exact import BLOCK, nearest


class Channels:
    """The channels of one catalogue."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        """Use the given channels, which must include the dense channel."""
        self._by_name = {channel.name: channel for channel in channels}
        for channel in channels:
            if isinstance(channel, HistoryChannel | UserTowerChannel):
                self._by_name[channel.name] = channel.over(self.dense)
        self._channels = tuple(self._by_name.values())
        self._personal = {c.name: c for c in self._channels if isinstance(c, PersonalChannel)}

    @classmethod
    def open(
        cls,
        directory: Path,
        catalogue: Catalogue,
        names: Collection[str] | None = None,
        available: ChannelTypes = CHANNELS,
    ) -> "Channels":
        """Open channels of a bundle or of the `index` step of a training run.

        Args:
            directory: The directory with the files of the channels.
            catalogue: The items.
            names: The names of the channels to open; None for all.
            available: All channels of this version.

        Raises:
            BundleError: this version lacks a channel.
            InputError: a file is damaged, or needs too much memory.
            DeadlineExceededError: the caller left, or its deadline passed.
        """
        if unknown := set(names or ()) - {channel.name for channel in available}:
            raise BundleError(
                f"{directory} was built with the channels {', '.join(sorted(unknown))}, which this "
                "version lacks; build the bundle again with this version"
            )
        check, channels = caller_check(), []
        for channel in available:
            if names is None or channel.name in names:
                check()
                channels.append(channel.open(directory, catalogue))
        return cls(channels)

    @property
    def names(self) -> Collection[str]:
        """The names of the channels."""
        return self._by_name.keys()

    @property
    def default_weights(self) -> dict[str, float]:
        """The default weight of each channel's scores in the recall score, by channel name."""
        return {channel.name: channel.default_weight for channel in self._channels}

    @property
    def personal(self) -> Mapping[str, PersonalChannel]:
        """The channels that read the history of a query, by name."""
        return self._personal

    @property
    def dense(self) -> DenseChannel:
        """The dense channel, which has a vector of every item and can return every item."""
        channel = self._by_name[DENSE]
        assert isinstance(channel, DenseChannel)
        return channel

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels)

    @property
    def lexical(self) -> LexicalChannel | None:
        """The lexical channel; None if the bundle lacks it."""
        channel = self._by_name.get(LEXICAL)
        return channel if isinstance(channel, LexicalChannel) else None

    @property
    def lexical_index(self) -> LexicalIndex | None:
        """The index of the lexical channel; None without this channel."""
        return None if self.lexical is None else self.lexical.index

    def recall(
        self,
        query: Query,
        depth: int,
        weights: Mapping[str, float],
        names: Collection[str] = (),
        allowed: Allowed = None,
    ) -> Candidates:
        """Return the best items that the channels find, by recall score.

        The result has `depth` candidates if the dense channel is asked and enough items are
        allowed.

        Args:
            query: The query.
            depth: Maximum number of candidates to return, and of items to ask each channel for.
            weights: The weight of each channel's scores in the recall score, by channel name. If
                there are several channels, a channel with weight 0 is not asked. If `names`
                leave only one channel, its own scores are the recall scores.
            names: Names of the channels to ask; empty for all.
            allowed: Mask of the items that may be returned; None for all.
        """
        asked = [c for c in self._taking_part(query) if not names or c.name in names]
        if len(asked) > 1:
            asked = [channel for channel in asked if weights.get(channel.name)]
        if names and len(asked) == 1:
            weights = {asked[0].name: 1.0}
        hits = {channel.name: channel.search(query, depth, allowed) for channel in asked}
        rows = _union([channel_hits.rows for channel_hits in hits.values()])
        ranks = {name: _ranks(channel_hits.rows, rows) for name, channel_hits in hits.items()}
        scores = {
            channel.name: _scores(channel, query, hits[channel.name], rows, ranks[channel.name])
            for channel in asked
        }
        total = recall_scores(scores, weights)
        order = np.argsort(-total, kind="stable")[:depth]
        rows = rows[order]
        channel_scores = {name: of_channel[order] for name, of_channel in scores.items()}
        if DENSE not in channel_scores:
            channel_scores[DENSE] = self.dense.scores(query, rows)
        return Candidates(
            rows,
            total[order],
            channel_scores,
            {name: of_channel[order] for name, of_channel in ranks.items()},
            "".join(channel_hits.plan for channel_hits in hits.values()),
        )

    def scores(
        self,
        query: Query,
        rows: Int32[np.ndarray, " items"],
        known: ChannelScores = MappingProxyType({}),
    ) -> dict[str, Float32[np.ndarray, " items"]]:
        """Return the channels' scores of any items, whether or not a search would find them.

        Channels that read a history score nothing for a query without one.

        Args:
            query: The query.
            rows: The rows of the items.
            known: Scores of these items. A channel with known scores of all items is not asked.
        """
        unknown = [
            channel
            for channel in self._taking_part(query)
            if channel.name not in known or np.isnan(known[channel.name]).any()
        ]
        return {**known, **{channel.name: channel.scores(query, rows) for channel in unknown}}

    def _taking_part(self, query: Query) -> Sequence[Channel]:
        """Return all channels, or those that need no history for a query without one."""
        if query.history is not None:
            return self._channels
        return [channel for channel in self._channels if channel.name not in self._personal]

    def nearest(
        self, vector: Float32[np.ndarray, " dim"], depth: int, allowed: Allowed = None
    ) -> Candidates:
        """Return the `depth` items nearest to a vector; fewer only if fewer are allowed."""
        return self.recall(Query("", vector), depth, {}, (DENSE,), allowed)

    def deepened(
        self, candidates: Candidates, query: Query, depth: int, allowed: Allowed = None
    ) -> Candidates:
        """Append the nearest other items to the candidates, up to `depth` items in all.

        Pages beyond the recall depth are parts of this list, so no item is on two pages.
        """
        nearest_hits = self.dense.search(query, depth, allowed)
        is_new = ~np.isin(nearest_hits.rows, candidates.rows)
        rows, cosines = nearest_hits.rows[is_new], nearest_hits.scores[is_new]
        unknown = np.full(len(rows), np.nan, np.float32)
        ranks = {
            channel: np.concatenate([of_channel, _ranks(nearest_hits.rows, rows)])
            if channel == DENSE
            else np.pad(of_channel, (0, len(rows)))
            for channel, of_channel in candidates.ranks.items()
        }
        channel_scores = {
            channel: np.concatenate([of_channel, cosines if channel == DENSE else unknown])
            for channel, of_channel in candidates.channel_scores.items()
        }
        behind = scores_behind(candidates.recall_scores, cosines)
        return Candidates(
            np.concatenate([candidates.rows, rows])[:depth],
            np.concatenate([candidates.recall_scores, behind])[:depth],
            {channel: of_channel[:depth] for channel, of_channel in channel_scores.items()},
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
        """Return the k nearest items of each query by comparing the query with all items.

        Args:
            queries: Unit vectors.
            k: Number of items per query; all items if there are fewer.
            alive: Mask of the rows that are not deleted.
            before_each: Called before each block of some thousand items is compared.
        """
        live_rows = np.flatnonzero(alive).astype(np.int32)

        def blocks() -> Iterator[tuple[Int32[np.ndarray, " _"], Float32[np.ndarray, "_ dim"]]]:
            for start in range(0, len(live_rows), BLOCK):
                before_each()
                block = live_rows[start : start + BLOCK]
                yield block, self.vectors(block)

        return nearest(blocks(), queries, k)[0]

    def warm_up(self, depth: int) -> None:
        """Compile or load everything that a search for `depth` items needs."""
        for channel in self._channels:
            channel.warm_up(depth)


class ChannelsWriter:
    """Adds rows to all channels of a bundle; see `ChannelWriter`."""

    def __init__(self, channels: Channels, bundle: Path, manifest: Manifest, scratch: Path) -> None:
        """Open a writer for each channel; see `Channel.writer`."""
        with ExitStack() as opened:
            self._writers = []
            for channel in channels:
                writer = channel.writer(bundle, manifest, scratch)
                opened.callback(writer.close)
                self._writers.append(writer)
            self._opened = opened.pop_all()

    def extended(self, added: AddedRows) -> Channels:
        """Return the channels with more rows; see `ChannelWriter.extended`."""
        return Channels([writer.extended(added) for writer in self._writers])

    def close(self) -> None:
        """Close the writer of each channel; the channels can still be searched."""
        self._opened.close()


def recall_scores(
    channel_scores: ChannelScores, weights: Mapping[str, float]
) -> Float32[np.ndarray, " items"]:
    """Return the weighted sum of the scores of items in the channels with a weight above 0."""
    weighted = [
        np.float32(weights[channel]) * of_channel
        for channel, of_channel in channel_scores.items()
        if weights.get(channel)
    ]
    total: Float32[np.ndarray, " items"] = np.sum(np.stack(weighted), axis=0)
    return total


def _union(lists: Sequence[Int32[np.ndarray, "_"]]) -> Int32[np.ndarray, " rows"]:
    """Concatenate lists of rows; keep only the first occurrence of each row."""
    if len(lists) == 1:
        return lists[0]
    rows = np.concatenate(lists)
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]


def _ranks(
    ranked: Int32[np.ndarray, " ranked"], rows: Int32[np.ndarray, " rows"]
) -> Int32[np.ndarray, " rows"]:
    """Return the rank of each row in a ranked list, from 1; 0 for a row that is not in the list."""
    if rows is ranked:
        return np.arange(1, len(rows) + 1, dtype=np.int32)
    if not len(ranked):
        return np.zeros(len(rows), np.int32)
    order = np.argsort(ranked)
    found = order[np.minimum(np.searchsorted(ranked, rows, sorter=order), len(ranked) - 1)]
    return np.where(ranked[found] == rows, found + 1, 0).astype(np.int32)


def _scores(
    channel: Channel,
    query: Query,
    hits: ChannelHits,
    rows: Int32[np.ndarray, " rows"],
    ranks: Int32[np.ndarray, " rows"],
) -> Float32[np.ndarray, " rows"]:
    """Return a channel's scores of rows. Rows with a rank above 0 have their scores in `hits`."""
    scores = np.empty(len(rows), np.float32)
    known = ranks > 0
    scores[known] = hits.scores[ranks[known] - 1]
    scores[~known] = channel.scores(query, rows[~known])
    return scores
