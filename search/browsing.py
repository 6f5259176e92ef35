"""Lists that no model orders: items by popularity, and few variants of one product in a list."""

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int32, Int64

from catalog.store import ItemStore


class Popularity:
    """Items by how many ratings they have, then how good these are, then row.

    An item of which either is not known comes behind those of which it is.
    """

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    def rows(self, allowed: Bool[np.ndarray, " items"]) -> Int32[np.ndarray, " found"]:
        """The rows that pass a filter, most popular first."""
        found: Int32[np.ndarray, " found"] = self._order[allowed[self._order]]
        return found

    def score(self, row: int) -> float:
        """The number of ratings, 0 where it is not known: it falls along the list."""
        return float(np.nan_to_num(self._store.fields.numbers("rating_count")[row]))

    def warm_up(self) -> None:
        """Sort, so that the first to browse need not wait for it."""
        assert len(self._order) == len(self._store)

    @cached_property
    def _order(self) -> Int32[np.ndarray, " items"]:
        counts, ratings = (
            np.nan_to_num(self._store.fields.numbers(name), nan=-1.0)
            for name in ("rating_count", "rating")
        )
        return np.lexsort((-ratings, -counts)).astype(np.int32)


def first_of_groups(
    groups: Int32[np.ndarray, " items"],
    ranked: Int32[np.ndarray, " ranked"],
    most: int,
    wanted: int,
) -> Int64[np.ndarray, " places"]:
    """The first places of a ranked list that stay when a group is shown so often at most.

    Args:
        groups: By row, which group an item belongs to; -1 for none, and then it stays.
        ranked: Rows of items, best first.
        most: Items of one group that stay, 1 or more.
        wanted: How many places are wanted; fewer come back where fewer stay.
    """
    looked_at = wanted
    while True:
        stay = np.flatnonzero(_stays(groups[ranked[:looked_at]], most))
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
