"""A table of counters: one row of numbers per key, with a largest number of rows."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float64

_KEPT_SHARE = 0.75  # share of the rows that stay if a full table makes room
_FIRST_ROWS = 1_024


class CounterTable:
    """Numbers by key. If the table is full, the rows with the smallest sums are removed."""

    def __init__(self, columns: int, max_rows: int) -> None:
        self._rows: dict[Hashable, int] = {}
        self._keys: list[Hashable] = []
        self._max_rows = max_rows
        self._values = np.zeros((min(_FIRST_ROWS, max_rows), columns))

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._keys)

    @property
    def keys(self) -> Sequence[Hashable]:
        """The keys, in the order of the rows of `values`."""
        return self._keys

    @property
    def values(self) -> Float64[np.ndarray, "rows columns"]:
        """The numbers of all rows; a view."""
        return self._values[: len(self._keys)]

    def add(self, key: Hashable, number: float, *columns: int) -> None:
        """Add a number to some columns of a row; create a missing row."""
        row = self._rows.get(key)
        if row is None:
            row = self._append(key)
        for column in columns:
            self._values[row, column] += number

    def subtract(self, key: Hashable, number: float, *columns: int) -> None:
        """Subtract a number that was added. A row of which only rounding errors stay is removed."""
        row = self._rows.get(key)
        if row is None:
            return
        for column in columns:
            self._values[row, column] = max(self._values[row, column] - number, 0.0)
        if self._values[row].sum() <= 1e-9 * number:
            self.pop(key)

    def of(self, keys: Sequence[Hashable]) -> Float64[np.ndarray, "keys columns"]:
        """Return a copy of the rows of keys; zeros for missing keys."""
        rows = np.array([self._rows.get(key, -1) for key in keys], np.int64)
        numbers: Float64[np.ndarray, "keys columns"] = self._values[rows]
        numbers[rows < 0] = 0.0
        return numbers

    def pop(self, key: Hashable) -> Float64[np.ndarray, " columns"] | None:
        """Remove a row and return its numbers; None without such a row."""
        row = self._rows.pop(key, None)
        if row is None:
            return None
        numbers: Float64[np.ndarray, " columns"] = self._values[row].copy()
        last = self._keys.pop()
        if last != key:  # the last row takes the free place
            self._values[row] = self._values[len(self._keys)]
            self._keys[row], self._rows[last] = last, row
        self._values[len(self._keys)] = 0.0
        return numbers

    def scale(self, factor: float) -> None:
        """Multiply all numbers by a factor."""
        self._values *= factor

    def _append(self, key: Hashable) -> int:
        if len(self._keys) == self._max_rows:
            self._make_room()
        row = len(self._keys)
        if row == len(self._values):
            size = min(2 * row, self._max_rows)
            larger = np.zeros((size, self._values.shape[1]))
            larger[:row] = self._values
            self._values = larger
        self._keys.append(key)
        self._rows[key] = row
        return row

    def _make_room(self) -> None:
        keep = int(_KEPT_SHARE * len(self._keys))
        kept = np.sort(np.argsort(-self.values.sum(1), kind="stable")[:keep])
        self._values[:keep] = self._values[kept]
        self._values[keep:] = 0.0
        self._keys = [self._keys[row] for row in kept.tolist()]
        self._rows = {key: row for row, key in enumerate(self._keys)}
