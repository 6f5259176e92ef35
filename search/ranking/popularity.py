"""The order of items by popularity, for requests without a query."""

from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int32

from catalog.catalogue import Catalogue
from catalog.parts import split

_Numbers: TypeAlias = tuple[Float64[np.ndarray, "_"], ...]


class Popularity:
    """The order of items by number of ratings, then by mean rating, then by row.

    An unknown number of ratings sorts after all known numbers, and an unknown mean rating after all
    known ones.
    """

    def __init__(self, counts: _Numbers, ratings: _Numbers) -> None:
        """Use the rating counts and the mean ratings of items, one array per catalogue part."""
        self._counts = counts
        self._ratings = ratings

    @classmethod
    def of(cls, catalogue: Catalogue, before: "Popularity | None" = None) -> "Popularity":
        """Return the popularity of a catalogue's items; `before` itself if no rating changed."""
        counts, ratings = (
            tuple(part.fields.numbers(name) for part in catalogue.parts)
            for name in ("rating_count", "rating")
        )
        if before is not None and len(counts) == len(before._counts):
            pairs = zip(counts + ratings, before._counts + before._ratings, strict=True)
            if all(new is old for new, old in pairs):
                return before
        return cls(counts, ratings)

    def rows(self, allowed: Bool[np.ndarray, " items"]) -> Int32[np.ndarray, " passed"]:
        """Return the rows of allowed items, most popular first."""
        rows: Int32[np.ndarray, " passed"] = self._order[allowed[self._order]]
        return rows

    def scores(self, rows: Int32[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
        """Return the number of ratings of the item in each row; 0 if unknown."""
        counts = np.empty(len(rows))
        by_part = split(rows, map(len, self._counts))
        for part, (positions, part_rows) in zip(self._counts, by_part, strict=True):
            counts[positions] = part[part_rows]
        return np.nan_to_num(counts)

    def warm_up(self) -> None:
        """Sort the items now, so that the first request without a query does not wait."""
        assert len(self._order) == sum(map(len, self._counts))

    @cached_property
    def _order(self) -> Int32[np.ndarray, " items"]:
        counts, ratings = (
            np.nan_to_num(np.concatenate(parts), nan=-1.0)
            for parts in (self._counts, self._ratings)
        )
        return np.lexsort((-ratings, -counts)).astype(np.int32)
