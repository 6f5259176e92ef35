"""The channel "popular": what many people bought lately, in situations like that of the request."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from catalog.catalogue import Catalogue
from search import bundle as bundle_files
from search.channels.base import AddedRows, Allowed, ChannelHits, MemoryWriter, Query
from search.channels.model_items import ModelItems
from search.channels.popular_counts import PopularCounts
from search.people.history import Interests
from search.people.reasons import ReasonKind
from search.people.weights import POPULAR

# The largest part of a score that the number of ratings decides. It orders the items that nobody
# bought.
_OF_RATINGS = np.float32(0.001)


@dataclass(frozen=True)
class PopularChannel:
    """Ranks all items by their decayed counts of events, in the context of the request.

    A count is divided by the best count of any item. If the bundle has counts of segments that the
    context belongs to (such as a country), the score is the mean of this share in all events and of
    the shares in these segments. The share in the server's own events is another term of the mean.

    Attributes:
        items: The rows of the counted items.
        counts: The counts.
        ratings: A number from 0 to 1 for each row, by its number of ratings.
    """

    items: ModelItems
    counts: PopularCounts
    ratings: Float32[np.ndarray, " rows"]

    name: ClassVar[str] = POPULAR
    default_weight: ClassVar[float] = 0.0  # in a search, the query decides
    reason: ClassVar[ReasonKind] = ReasonKind.POPULAR

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "PopularChannel":
        """Open the counts of a bundle; see `Channel.open`."""
        directory = bundle / bundle_files.BEHAVIOUR
        items = ModelItems.open(directory, catalogue)
        counts = PopularCounts.read(directory, len(items))
        rows = np.arange(catalogue.rows_in_all, dtype=np.int32)
        return cls(items, counts, _ratings(catalogue.field_numbers("rating_count", rows)))

    def writer(self, *_: object) -> MemoryWriter:
        """Return a writer that follows items to their new rows; see `Channel.writer`."""
        return MemoryWriter(self)

    def extended(self, added: AddedRows) -> "PopularChannel":
        """Return the channel with more rows. New items have no counts."""
        numbers = np.array([item.rating_count or 0 for item in added.items], np.float64)
        ratings = np.concatenate([self.ratings[: added.first], _ratings(numbers)])
        return PopularChannel(self.items.extended(added), self.counts, ratings)

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` best items; fewer only if fewer items are allowed."""
        rows = (
            np.arange(len(self.ratings)) if allowed is None else np.flatnonzero(allowed)
        ).astype(np.int32)
        scores = self.scores(query, rows)
        if len(rows) > depth:
            best = np.argpartition(-scores, depth - 1)[:depth]
            rows, scores = rows[best], scores[best]
        order = np.lexsort((rows, -scores))
        return ChannelHits(rows[order], scores[order])

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the scores of items."""
        shares = self._shares(query, rows)
        return np.asarray((shares + _OF_RATINGS * self.ratings[rows]) / (1 + _OF_RATINGS))

    def have_events(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Bool[np.ndarray, " items"]:
        """Return which items have events in the situation of a query; ratings do not count."""
        return np.asarray(self._shares(query, rows) > 0)

    def _shares(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        counts = self.items.by_row(self.counts.shares(query.context), rows)
        if query.trends is not None:
            terms = np.float32(1 + len(self.counts.segments(query.context)))
            shares = np.zeros(len(self.ratings), np.float32)
            shares[query.trends.rows] = query.trends.shares
            counts = (terms * counts + shares[rows]) / (terms + 1)
        return np.asarray(counts, np.float32)

    def shares_here(self, query: Query) -> Float32[np.ndarray, " rows"] | None:
        """Return each row's shares in the segments of the context and in the server's own events.

        The result is the sum of these shares; None if there are neither segments nor events.
        """
        segments = self.counts.segments(query.context)
        if not segments and query.trends is None:
            return None
        values = self.counts.values[[self.counts.rows[name] for name in segments]].sum(axis=0)
        shares = self.items.by_row(values, np.arange(len(self.ratings), dtype=np.int32))
        if query.trends is not None:
            shares[query.trends.rows] += query.trends.shares
        return shares

    def causes(self, query: Query, row: int) -> Interests:
        """Return nothing: every history gets the same items."""
        del query, row
        return Interests(np.zeros(0, np.int32), np.zeros(0, np.float32))

    def warm_up(self, depth: int) -> None:
        """Do nothing: the counts are in memory."""


def _ratings(counts: Float64[np.ndarray, " items"]) -> Float32[np.ndarray, " items"]:
    """Map numbers of ratings to [0, 1): n / (n + 100); an unknown number counts 0."""
    known = np.nan_to_num(counts)
    return np.asarray(known / (known + 100.0), np.float32)
