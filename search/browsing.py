"""Lists that no model orders: items by popularity, and few variants of one product in a list."""

from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from catalog.catalogue import Catalogue

_Numbers: TypeAlias = tuple[Float64[np.ndarray, "_"], ...]


class Popularity:
    """Items by how many ratings they have, then how good these are, then row.

    An item of which either is not known comes behind those of which it is.
    """

    def __init__(self, counts: _Numbers, ratings: _Numbers) -> None:
        """Take the number of ratings and the mean rating of items, by parts of the catalogue."""
        self._counts = counts
        self._ratings = ratings

    @classmethod
    def of(cls, catalogue: Catalogue, before: "Popularity | None" = None) -> "Popularity":
        """The popularity of a catalogue's items: the one of before where it is still the same."""
        counts, ratings = (
            tuple(part.fields.numbers(name) for part in (catalogue.base, catalogue.added))
            for name in ("rating_count", "rating")
        )
        if before is not None and all(
            new is old
            for new, old in zip(counts + ratings, before._counts + before._ratings, strict=True)
        ):
            return before
        return cls(counts, ratings)

    def rows(self, allowed: Bool[np.ndarray, " items"]) -> Int32[np.ndarray, " found"]:
        """The rows that pass a filter, most popular first."""
        found: Int32[np.ndarray, " found"] = self._order[allowed[self._order]]
        return found

    def score(self, row: int) -> float:
        """The number of ratings, 0 where it is not known: it falls along the list."""
        return float(self.scores(np.array([row], np.int32))[0])

    def scores(self, rows: Int32[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
        """The number of ratings of each, 0 where it is not known."""
        size = len(self._counts[0])
        old = rows < size
        counts = np.empty(len(rows))
        counts[old], counts[~old] = self._counts[0][rows[old]], self._counts[1][rows[~old] - size]
        return np.nan_to_num(counts)

    def warm_up(self) -> None:
        """Sort, so that the first to browse need not wait for it."""
        assert len(self._order) == sum(map(len, self._counts))

    @cached_property
    def _order(self) -> Int32[np.ndarray, " items"]:
        counts, ratings = (
            np.nan_to_num(np.concatenate(parts), nan=-1.0)
            for parts in (self._counts, self._ratings)
        )
        return np.lexsort((-ratings, -counts)).astype(np.int32)


def first_of_groups(
    groups: Callable[[Int32[np.ndarray, " rows"]], Int32[np.ndarray, " rows"]],
    ranked: Int32[np.ndarray, " ranked"],
    most: int,
    wanted: int,
) -> Int64[np.ndarray, " places"]:
    """The first places of a ranked list that stay when a group is shown so often at most.

    Args:
        groups: Which group each of some rows belongs to; -1 for none, and then it stays.
        ranked: Rows of items, best first.
        most: Items of one group that stay, 1 or more.
        wanted: How many places are wanted; fewer come back where fewer stay.
    """
    looked_at = wanted
    while True:
        stay = np.flatnonzero(_stays(groups(ranked[:looked_at]), most))
        if len(stay) >= wanted or looked_at >= len(ranked):
            return stay[:wanted]
        looked_at *= 4


def _stays(groups: Int32[np.ndarray, " ranked"], most: int) -> Bool[np.ndarray, " ranked"]:
    """Whether each item is among the first `most` of its group; true without a group."""
    order = np.argsort(groups, kind="stable")
    in_groups = groups[order]
    begins = np.searchsorted(in_groups, in_groups)  # where the group of each begins
    stay = np.empty(len(groups), np.bool_)
    stay[order] = (np.arange(len(groups)) - begins < most) | (in_groups < 0)
    return stay
