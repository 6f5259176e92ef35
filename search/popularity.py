"""Lists that no model orders: items by popularity."""

from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int32

from catalog.catalogue import Catalogue
from catalog.parts import split

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
            tuple(part.fields.numbers(name) for part in catalogue.parts)
            for name in ("rating_count", "rating")
        )
        if before is not None and len(counts) == len(before._counts):
            pairs = zip(counts + ratings, before._counts + before._ratings, strict=True)
            if all(new is old for new, old in pairs):
                return before
        return cls(counts, ratings)

    def rows(self, allowed: Bool[np.ndarray, " items"]) -> Int32[np.ndarray, " found"]:
        """The rows that pass a filter, most popular first."""
        found: Int32[np.ndarray, " found"] = self._order[allowed[self._order]]
        return found

    def scores(self, rows: Int32[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
        """The number of ratings of each, 0 where it is not known: it falls along the list."""
        counts = np.empty(len(rows))
        for part, (own, at) in zip(self._counts, split(rows, map(len, self._counts)), strict=True):
            counts[own] = part[at]
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
