"""The rows of a catalogue lie in parts, one behind the other; what is added grows by parts."""

from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Int32

from catalog.store import ItemStore

# Parts are not joined beyond so many rows: it takes some milliseconds, in which nothing is written.
PART_ROWS = 8_192

_Rows: TypeAlias = Int32[np.ndarray, "_"]


def split(
    rows: Int32[np.ndarray, " rows"], sizes: Iterable[int]
) -> Iterator[tuple[Bool[np.ndarray, " rows"], _Rows]]:
    """Of each part, which of some rows lie in it, and the rows that they are there.

    Raises:
        IndexError: a row is negative or lies behind the last part.
    """
    bounds = tuple(accumulate(sizes, initial=0))
    if len(rows) and (rows.min() < 0 or rows.max() >= bounds[-1]):
        raise IndexError(f"rows must lie in [0, {bounds[-1]})")
    masks = ((start, (rows >= start) & (rows < end)) for start, end in pairwise(bounds))
    return ((own, rows[own] - np.int32(start)) for start, own in masks)


def followed_by(parts: tuple[ItemStore, ...], more: ItemStore) -> tuple[ItemStore, ...]:
    """Parts with one more behind them.

    It is joined with those before it that are less than twice as long: there are ever few parts,
    and of n items that come a few at a time each is copied O(log n) times, not n.
    """
    first, rows = len(parts), len(more)
    while first and len(parts[first - 1]) < 2 * rows and len(parts[first - 1]) + rows <= PART_ROWS:
        first -= 1
        rows += len(parts[first])
    return (*parts[:first], ItemStore.versions((*parts[first:], more)))
