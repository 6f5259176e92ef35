"""Number the values of a text field; equal values in different parts get the same number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32

from catalog.parts import split
from catalog.schema import TEXT

if TYPE_CHECKING:
    from catalog.store import ItemStore

_Numbers: TypeAlias = Int32[np.ndarray, "_"]


@dataclass(frozen=True)
class ValueCodes:
    """The value of a text field in each row, as a number; of several values, the first.

    Attributes:
        size: The number of distinct values. Values are numbered from 0 to `size - 1`.
    """

    size: int
    # For each part: the code of each row's value in this part, and the number of each code.
    _parts: tuple[tuple[_Numbers, _Numbers], ...]

    @classmethod
    def of(cls, stores: Sequence["ItemStore"], field: str, level: int = 0) -> "ValueCodes":
        """Number the values of a field that has codes (not one of `fields.DISTINCT`).

        Args:
            stores: The parts of a catalogue, in the order of their rows.
            field: A text column or an attribute.
            level: Number of leading levels of a category to compare; 0 for all levels.
        """
        known, parts = pa.array([], TEXT), list[tuple[_Numbers, _Numbers]]()
        for store in stores:
            text = store.fields.text(field, level)
            known_indices = pc.index_in(text.values, value_set=known).fill_null(-1)
            numbers = np.array(known_indices, np.int32)
            new = numbers < 0
            numbers[new] = len(known) + np.arange(np.count_nonzero(new))
            known = pa.concat_arrays([known, text.values.filter(pa.array(new))])
            # The code of a missing value is -1, which reads the -1 at the end.
            parts.append((text.first_codes, np.append(numbers, np.int32(-1))))
        return cls(len(known), tuple(parts))

    def at(self, rows: Int32[np.ndarray, " rows"]) -> Int32[np.ndarray, " rows"]:
        """Return the number of each row's value; -1 for a row without a value.

        Raises:
            IndexError: there is no such row.
        """
        numbers = np.empty(len(rows), np.int32)
        sizes = [len(codes) for codes, _ in self._parts]
        for part, (mask, part_rows) in zip(self._parts, split(rows, sizes), strict=True):
            codes, numbers_of_codes = part
            numbers[mask] = numbers_of_codes[codes[part_rows]]
        return numbers
