"""Features of items at a moment: sales in recent windows, age, days since the last sale, price.

A text vector does not change with time, but what sells does. `MomentFeatures` computes the features
of any items at any time from the events before that time, so training sees only the past, too.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64

from behaviour.interactions import SECONDS_PER_DAY, Interactions

WINDOW_DAYS = (3, 7, 14, 28, 56, 91)
# The features, in order: sales in each window, all sales, age, days since the last sale, price, and
# whether the item was ever sold. Counts and days are log-scaled to about 1.
FEATURES = len(WINDOW_DAYS) + 5
_ALL, _AGE, _LAST, _PRICE, _SOLD = range(len(WINDOW_DAYS), FEATURES)
_UNSOLD_DAYS = 365.0  # days since the last sale of an item that was never sold
NEIGHBOURS = 20  # similar titles that fill the features of an item that was never sold
_SHARPNESS = 8  # power of the cosine that weighs a similar title
_BLOCK = 1024  # items whose neighbours are searched at a time


@dataclass(frozen=True)
class MomentFeatures:
    """The events of each item in order of time, the items' prices, and similar items.

    Attributes:
        times: Times of all events in seconds since 1970, sorted by item and then by time.
        starts: First event of each item, then the number of events.
        prices: Logarithm of each item's price divided by the median price; 0 if missing.
        neighbours: The items with the most similar titles, of each item.
        weights: Weight of each of these neighbours.
    """

    times: Int64[np.ndarray, " events"]
    starts: Int64[np.ndarray, " items_and_end"]
    prices: Float32[np.ndarray, " items"]
    neighbours: Int[np.ndarray, "items neighbours"]
    weights: Float32[np.ndarray, "items neighbours"]

    @classmethod
    def of(
        cls,
        interactions: Interactions,
        text: Float32[np.ndarray, "items dim"],
        prices: Float32[np.ndarray, " items"],
    ) -> "MomentFeatures":
        """Sort the events by item, and find similar items.

        Args:
            interactions: The events that count as sales.
            text: Unit text vector of each item.
            prices: Price of each item; NaN if missing.
        """
        logs = np.log(np.maximum(prices, 0.01))
        centre = np.nanmedian(logs) if np.isfinite(logs).any() else 0.0
        prices = np.nan_to_num(logs - centre).astype(np.float32)
        return cls(*_sales(interactions), prices, *similar_items(text))

    @cached_property
    def _keys(self) -> Int64[np.ndarray, " events"]:
        """Items and times as one ascending number, so that one search counts for many items."""
        items = np.repeat(np.arange(len(self.prices)), np.diff(self.starts))
        return np.asarray(items * self._span + (self.times - self._origin), np.int64)

    @cached_property
    def _origin(self) -> int:
        return int(self.times.min(initial=0))

    @cached_property
    def _span(self) -> int:
        """More seconds than lie between any two events."""
        return int(self.times.max(initial=0)) - self._origin + 2

    def _before(self, time: int, rows: Int[np.ndarray, "*rows"]) -> Int64[np.ndarray, "*rows"]:
        """Return the number of all sorted events up to an item's events before a time."""
        offset = int(np.clip(time - self._origin, 0, self._span - 1))
        counts = np.searchsorted(self._keys, rows.astype(np.int64) * self._span + offset)
        return np.asarray(counts, np.int64)

    def sales(self, now: int) -> Int64[np.ndarray, " items"]:
        """Return the number of events of each item before a time, in seconds since 1970."""
        ends = self._before(now, np.arange(len(self.prices)))
        return np.asarray(ends - self.starts[:-1], np.int64)

    def features(
        self,
        now: int,
        rows: Int[np.ndarray, " rows"],
        cold: Bool[np.ndarray, " items"] | None = None,
    ) -> Float32[np.ndarray, "rows features"]:
        """Compute the features of items from the events before a time.

        The features of an item without such events are the weighted means of similar items, except
        its price. Without similar items that were sold, they are 0.

        Args:
            now: The time in seconds since 1970.
            rows: Rows of the items.
            cold: Items whose own events do not count; training hides items at random, so that
                scores of new items are learned. None hides no item.
        """
        unsold = self._before(now, rows) == self.starts[rows]
        if cold is not None:
            unsold |= cold[rows]
        chosen = rows[unsold]
        near = self.neighbours[chosen]
        needed, place = np.unique(np.concatenate([rows, near.ravel()]), return_inverse=True)
        own = self._own(now, needed)
        values = own[place[: len(rows)]]
        theirs = own[place[len(rows) :]].reshape(*near.shape, FEATURES)
        weights = self.weights[chosen] * theirs[..., _SOLD]
        if cold is not None:
            weights = weights * ~cold[near]
        total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        filled = np.einsum("rn,rnf->rf", weights / total, theirs)
        filled[:, _PRICE] = values[unsold, _PRICE]
        filled[:, _SOLD] = 0
        values[unsold] = filled
        return values

    def _own(
        self, now: int, rows: Int[np.ndarray, " rows"]
    ) -> Float32[np.ndarray, "rows features"]:
        """Compute the features of items from their own events."""
        first, end = self.starts[rows], self._before(now, rows)
        values = np.zeros((len(rows), FEATURES), np.float32)
        for column, days in enumerate(WINDOW_DAYS):
            since = self._before(now - days * SECONDS_PER_DAY, rows)
            values[:, column] = np.log1p(end - since) / 2
        sold = end > first
        values[:, _ALL] = np.log1p(end - first) / 3
        values[:, _LAST] = np.log1p(_UNSOLD_DAYS) / 3
        ages = (now - self.times[first[sold]]) / SECONDS_PER_DAY
        gaps = (now - self.times[end[sold] - 1]) / SECONDS_PER_DAY
        values[sold, _AGE] = np.log1p(ages) / 3
        values[sold, _LAST] = np.log1p(gaps) / 3
        values[:, _PRICE] = self.prices[rows]
        values[:, _SOLD] = sold
        return values


def _sales(
    interactions: Interactions,
) -> tuple[Int64[np.ndarray, " events"], Int64[np.ndarray, " items_and_end"]]:
    """Return the times of events, sorted by item, and the first event of each item."""
    order = np.lexsort((interactions.time, interactions.item))
    starts = np.searchsorted(interactions.item[order], np.arange(interactions.items + 1))
    return interactions.time[order], starts.astype(np.int64)


def similar_items(
    text: Float32[np.ndarray, "items dim"], count: int = NEIGHBOURS
) -> tuple[Int64[np.ndarray, "items neighbours"], Float32[np.ndarray, "items neighbours"]]:
    """Find the items with the nearest text vectors, and their cosines to the power of 8.

    Returns:
        Rows and weights of up to `count` other items of each item.
    """
    count = min(count, len(text) - 1)
    rows = np.empty((len(text), count), np.int64)
    cosines = np.empty((len(text), count), np.float32)
    for start in range(0, len(text), _BLOCK):
        block = text[start : start + _BLOCK] @ text.T
        own = np.arange(len(block))
        block[own, own + start] = -np.inf
        if count:
            rows[own + start] = np.argpartition(-block, count - 1, axis=1)[:, :count]
        cosines[own + start] = np.take_along_axis(block, rows[own + start], axis=1)
    return rows, np.maximum(cosines, 0) ** _SHARPNESS
