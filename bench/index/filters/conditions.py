"""Filters of the filter benchmark: each keeps a share of all items.

There are three kinds of filters:

- `random` keeps random items;
- `near` keeps the cells nearest to the query;
- `far` keeps the cells farthest from the query.

Cells behave like categories. 1,000 random items are the centres of the cells, and every item
belongs to the cell of its nearest centre. To reach the share exactly, `near` and `far` keep only a
random part of the last cell's items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

Kind = Literal["random", "near", "far"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_CELLS = 1_000
_CHUNK = 20_000  # items whose cells are computed at a time
_QUERIES = 50  # queries whose cosines with all items are computed at a time
_SEED = 0


@dataclass(frozen=True)
class FilterCondition:
    """The condition that an item must meet to pass a filter.

    An item passes if it is in one of the whole cells, or if it is in the partial cell and its
    random number is below a limit.
    """

    whole_cells: np.ndarray  # cells whose items all pass
    partial_cell: int  # cell of which a random part passes; -1: a random part of all items passes
    below: float  # items of the partial cell pass if their random number is below this value


class Filters:
    """The filters over one set of vectors; they are the same in every process."""

    def __init__(self, directory: Path, stored: np.ndarray) -> None:
        """Read the cells of the items, or compute them."""
        self.centres, self.cell = _cells(directory, stored)
        self.number = np.random.default_rng(_SEED).random(len(stored))  # a random number per item
        self._size = np.bincount(self.cell, minlength=len(self.centres))

    def condition(self, kind: Kind, share: float, query: np.ndarray) -> FilterCondition:
        """Return the condition of the filter of this kind and share for a query."""
        if kind == "random":
            return FilterCondition(np.zeros(0, np.int32), -1, share)
        closeness = self.centres @ query
        order = np.argsort(-closeness if kind == "near" else closeness)
        cumulative = np.cumsum(self._size[order])
        target = round(share * len(self.cell))
        whole_count = int(np.searchsorted(cumulative, target, side="right"))
        missing = target - (cumulative[whole_count - 1] if whole_count else 0)
        partial_cell = int(order[whole_count])
        numbers = np.sort(self.number[self.cell == partial_cell])
        return FilterCondition(
            order[:whole_count], partial_cell, float(np.append(numbers, 1.0)[missing])
        )

    def mask(self, condition: FilterCondition) -> np.ndarray:
        """Return a mask of the items that pass."""
        low = self.number < condition.below
        if condition.partial_cell < 0:
            return np.asarray(low)
        whole = np.zeros(len(self.centres), bool)
        whole[condition.whole_cells] = True
        return np.asarray(whole[self.cell] | ((self.cell == condition.partial_cell) & low))

    def exact(
        self, stored: np.ndarray, queries: np.ndarray, conditions: Sequence[FilterCondition], k: int
    ) -> np.ndarray:
        """Return the k nearest rows that pass each query's filter; -1 for missing rows."""
        rows = np.full((len(queries), k), -1)
        for start in range(0, len(queries), _QUERIES):
            cosines = stored @ queries[start : start + _QUERIES].T
            for number, column in enumerate(cosines.T, start):
                passing = np.flatnonzero(self.mask(conditions[number]))
                best = nearest_among(passing, column[passing], k)
                rows[number, : len(best)] = best
        return rows


def nearest_among(rows: np.ndarray, cosines: np.ndarray, k: int) -> np.ndarray:
    """Return the k rows with the greatest cosines, greatest first; fewer if there are fewer."""
    best = np.argpartition(-cosines, k)[:k] if len(rows) > k else np.arange(len(rows))
    return np.asarray(rows[best[np.argsort(-cosines[best])]])


def _cells(directory: Path, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    file = directory / "cells.npz"
    chosen = np.random.default_rng(_SEED).choice(len(stored), _CELLS, replace=False)
    centres = stored[np.sort(chosen)]
    if not file.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        parts = range(0, len(stored), _CHUNK)
        near = [(stored[start : start + _CHUNK] @ centres.T).argmax(axis=1) for start in parts]
        np.savez(file, cell=np.concatenate(near).astype(np.int32))
    with np.load(file) as arrays:
        return centres, arrays["cell"]
