"""Numbers for the values of a text field, alike over all parts of a catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32

from catalog.fields import TextField
from catalog.filters import LEVEL
from catalog.parts import split
from catalog.schema import TEXT

if TYPE_CHECKING:
    from catalog.store import ItemStore

_Numbers: TypeAlias = Int32[np.ndarray, "_"]


@dataclass(frozen=True)
class ValueCodes:
    """The value of a text field in each row, as a number.

    Attributes:
        size: What every number is below.
    """

    size: int
    _parts: tuple[tuple[_Numbers, _Numbers], ...]  # by part: places in a table, and the table

    @classmethod
    def of(cls, stores: Sequence["ItemStore"], field: str, level: int = 0) -> "ValueCodes":
        """Number the values of a field that has codes (not one of `fields.DISTINCT`).

        Args:
            stores: The parts of a catalogue, in the order of their rows.
            field: A text column or an attribute.
            level: Values of a category are alike when their first so many levels are; 0 for all.
        """
        known, parts = pa.array([], TEXT), list[tuple[_Numbers, _Numbers]]()
        for store in stores:
            text = store.fields.text(field)
            assert text.codes is not None
            values, places = _to_level(text, level)
            found = pc.index_in(values, value_set=known).fill_null(-1)
            numbers = np.array(found, np.int32)
            new = numbers < 0
            numbers[new] = len(known) + np.arange(np.count_nonzero(new))
            known = pa.concat_arrays([known, values.filter(pa.array(new))])
            # The code of a missing value, -1, reads the last place.
            parts.append((text.codes, np.append(numbers[places], np.int32(-1))))
        return cls(len(known), tuple(parts))

    def at(self, rows: Int32[np.ndarray, " rows"]) -> Int32[np.ndarray, " rows"]:
        """The numbers of some rows, from 0 and the same for the same value; -1 without one.

        Raises:
            IndexError: there is no such row.
        """
        numbers = np.empty(len(rows), np.int32)
        sizes = [len(codes) for codes, _ in self._parts]
        for (codes, table), (own, at) in zip(self._parts, split(rows, sizes), strict=True):
            numbers[own] = table[codes[at]]
        return numbers


def _to_level(text: TextField, level: int) -> tuple[pa.Array, Int32[np.ndarray, " values"]]:
    """Different values, no deeper than a level, and which of them each of the field's own is."""
    if not level:
        return text.values, np.arange(len(text.values), dtype=np.int32)
    short = [LEVEL.join(value.split(LEVEL)[:level]) for value in text.values.to_pylist()]
    coded = pa.array(short, TEXT).dictionary_encode()
    return coded.dictionary, np.array(coded.indices, np.int32)
