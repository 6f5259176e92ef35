"""Parts of a catalogue: ranges of consecutive rows, each in its own store."""

from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Int32

from catalog.store import ItemStore

# Maximum number of rows of a part that is joined from smaller parts. Joining takes some
# milliseconds, and all writes wait meanwhile.
PART_ROWS = 8_192

_Rows: TypeAlias = Int32[np.ndarray, "_"]


def split(
    rows: Int32[np.ndarray, " rows"], sizes: Iterable[int]
) -> Iterator[tuple[Bool[np.ndarray, " rows"], _Rows]]:
    """For each part, yield a mask that selects its rows, and their row numbers in the part.

    Raises:
        IndexError: a row is negative or lies beyond the last part.
    """
    bounds = tuple(accumulate(sizes, initial=0))
    if len(rows) and (rows.min() < 0 or rows.max() >= bounds[-1]):
        raise IndexError(f"rows must lie in [0, {bounds[-1]})")
    masks = ((start, (rows >= start) & (rows < end)) for start, end in pairwise(bounds))
    return ((mask, rows[mask] - np.int32(start)) for start, mask in masks)


def append_part(
    parts: tuple[ItemStore, ...], new: ItemStore, most: int = PART_ROWS
) -> tuple[ItemStore, ...]:
    """Return the parts with a new part at the end.

    The new part is joined with preceding parts that are less than twice as long. This keeps the
    number of parts small. Even if n items are added a few at a time, each item is copied only
    O(log n) times.

    Args:
        parts: The parts so far.
        new: The rows of the new part.
        most: Maximum number of rows of a joined part.
    """
    first, rows = len(parts), len(new)
    while first and len(parts[first - 1]) < 2 * rows and len(parts[first - 1]) + rows <= most:
        first -= 1
        rows += len(parts[first])
    return (*parts[:first], ItemStore.versions((*parts[first:], new)))
