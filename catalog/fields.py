"""The fields that filters and facets read: a column of items, or `attributes.NAME`.

A text field is stored as its distinct values, and for each item a code: the index of its value. So
a comparison reads each distinct value only once. A number field is a float64 array. Both kinds are
computed on first use and cached.
"""

import copy
import datetime
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int32, Int64

from catalog.items import ITEM_FIELDS
from catalog.schema import ATTRIBUTES, DATE, FLAG, ITEMS, TEXT, VECTOR, WHOLE

Kind: TypeAlias = Literal["text", "number", "flag", "date"]
Number: TypeAlias = int | float

ATTRIBUTE = "attributes."  # the prefix of every field that is an attribute
MAX_ATTRIBUTES = 64  # maximum number of attributes with cached codes (4 bytes per item)
# Columns without codes: nearly all items have different values, so codes would save nothing.
DISTINCT = frozenset(field.name for field in ITEM_FIELDS if field.distinct)
COLUMNS = tuple(c.name for c in ITEMS.columns if c.type not in (ATTRIBUTES, VECTOR))

_EPOCH = datetime.date(1970, 1, 1).toordinal()  # dates are counted in days since 1970

_KINDS: Mapping[pa.DataType, Kind] = {TEXT: "text", FLAG: "flag", DATE: "date"}
_KIND_OF = {c.name: _KINDS.get(c.type, "number") for c in ITEMS.columns if c.name in COLUMNS}
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)


def kind_of(field: str) -> Kind:
    """Return the kind of a field's values; attributes are text.

    Raises:
        KeyError: there is no such field.
    """
    if field.startswith(ATTRIBUTE) and len(field) > len(ATTRIBUTE):
        return "text"
    return _KIND_OF[field]


def number_of(value: Number | datetime.date) -> float:
    """Return a value as a number, encoded as in `Fields.numbers`."""
    if isinstance(value, datetime.date):
        return float(value.toordinal() - _EPOCH)
    return float(value)


def value_of(column: str, number: float) -> Number | datetime.date | None:
    """Convert a number from `Fields.numbers` to the value of an `Item`; return None for NaN."""
    if math.isnan(number):
        return None
    kind = ITEMS.arrow.field(column).type
    if kind == DATE:
        return datetime.date.fromordinal(_EPOCH + int(number))
    if kind == FLAG:
        return bool(number)
    return int(number) if kind == WHOLE else float(number)


@dataclass(frozen=True)
class TextField:
    """The values of a text field for all items.

    Attributes:
        values: The distinct values, or the whole column if `codes` is None.
        codes: For each row, the index of the item's value in `values`; -1 without a value.
    """

    values: pa.Array
    codes: Int32[np.ndarray, " items"] | None

    def rows_where(self, holds: pa.Array) -> Bool[np.ndarray, " items"]:
        """Return a mask of the items whose value passes a test; missing values never pass.

        Args:
            holds: For each of `values`, whether it passes; null counts as false.
        """
        passed = np.asarray(pc.fill_null(holds, False).to_numpy(zero_copy_only=False))
        if self.codes is None:
            return passed
        # The code of a missing value is -1, which reads the False at the end.
        rows: Bool[np.ndarray, " items"] = np.append(passed, False)[self.codes]
        return rows


class Fields:
    """The fields of one table of items. Safe to use from several threads."""

    def __init__(self, columns: Mapping[str, pa.Array], items: int) -> None:
        """Store the columns of the schema, each as one Arrow array, and the number of items."""
        self._columns = columns
        self._texts = _Texts(columns, items)
        self._numbers: dict[str, Float64[np.ndarray, " items"]] = {}

    def text(self, field: str) -> TextField:
        """Return the values of a text field.

        Raises:
            KeyError: there is no such field.
        """
        return self._texts.field(field)

    def numbers(self, field: str) -> Float64[np.ndarray, " items"]:
        """Return the values of a field as one number per row; NaN without a value.

        Dates are days since 1970-01-01, and flags are 0 or 1. Values of an attribute are read as
        plain numbers, such as "65" or "-1.5"; other values become NaN.

        Raises:
            KeyError: there is no such field.
        """
        if field.startswith(ATTRIBUTE):
            return _read_numbers(self.text(field))
        numbers = self._numbers.get(field)
        if numbers is None:
            column = self._columns[field]
            column = column.cast(pa.int32()) if column.type in (FLAG, DATE) else column
            wide = column.cast(pa.float64(), safe=False)
            # Two threads may both compute the array; both return the array that is stored first.
            numbers = self._numbers.setdefault(field, np.asarray(pc.fill_null(wide, float("nan"))))
        return numbers

    def with_numbers(
        self, changes: Mapping[str, Mapping[int, Number | datetime.date | None]]
    ) -> "Fields":
        """Return fields with other numbers, flags or dates in some rows; other data is shared.

        Args:
            changes: New values, by column and row; None removes a value.
        """
        fields = copy.copy(self)
        fields._numbers = dict(self._numbers)
        for column, values in changes.items():
            fields._numbers[column] = numbers = self.numbers(column).copy()
            for row, value in values.items():
                numbers[row] = np.nan if value is None else number_of(value)
        return fields


class _Texts:
    """The text fields of one table, which never change."""

    def __init__(self, columns: Mapping[str, pa.Array], items: int) -> None:
        self._columns = columns
        self._items = items
        self._lock = threading.Lock()
        self._texts: dict[str, TextField] = {}
        self._attributes: OrderedDict[str, TextField] = OrderedDict()
        self._entries: _Entries | None = None

    def field(self, field: str) -> TextField:
        """Return a text field; see `Fields.text`."""
        with self._lock:
            if field.startswith(ATTRIBUTE):
                return self._attribute(field.removeprefix(ATTRIBUTE))
            if field not in self._texts:
                column = self._columns[field]
                self._texts[field] = (
                    TextField(column, None) if field in DISTINCT else TextField(*_encode(column))
                )
            return self._texts[field]

    def _attribute(self, name: str) -> TextField:
        if self._entries is None:
            self._entries = _Entries.of(self._columns["attributes"])
        if name not in self._attributes:
            self._attributes[name] = self._entries.field(name, self._items)
        self._attributes.move_to_end(name)
        if len(self._attributes) > MAX_ATTRIBUTES:
            self._attributes.popitem(last=False)
        return self._attributes[name]


@dataclass(frozen=True)
class _Entries:
    """The attributes of all items in one list, ordered by item."""

    names: Mapping[str, int]  # attribute name -> its code
    codes: Int32[np.ndarray, " entries"]  # the code of each entry's name
    values: pa.Array  # the value of each entry
    starts: Int64[np.ndarray, " items_and_1"]  # index of each item's first entry

    @classmethod
    def of(cls, column: pa.Array) -> "_Entries":
        starts = column.offsets.to_numpy().astype(np.int64)
        names, codes = _encode(column.keys)
        by_name = {name: code for code, name in enumerate(names.to_pylist())}
        return cls(by_name, codes, column.items, starts)

    def field(self, name: str, items: int) -> TextField:
        """Return the values of an attribute; the last value counts if an item repeats the name."""
        entries = np.flatnonzero(self.codes == self.names.get(name, -2))
        rows = np.searchsorted(self.starts, entries, side="right") - 1
        known = (rows >= 0) & (rows < items)  # a slice of a table has entries beyond its items
        known &= self.values.take(pa.array(entries)).is_valid().to_numpy(zero_copy_only=False)
        values, value_codes = _encode(self.values.take(pa.array(entries[known])))
        codes = np.full(items, -1, np.int32)
        codes[rows[known]] = value_codes
        return TextField(values, codes)


def _encode(column: pa.Array) -> tuple[pa.Array, Int32[np.ndarray, " values"]]:
    """Return the distinct values of a column, and the index of each row's value among them.

    The index is -1 for null and for an empty text, because an empty text counts as missing.
    """
    coded = column.dictionary_encode()
    codes = np.array(coded.indices.fill_null(-1), np.int32)
    codes[codes == coded.dictionary.index("").as_py()] = -1
    return coded.dictionary, codes


def _read_numbers(field: TextField) -> Float64[np.ndarray, " items"]:
    parsed = [float(v) if _NUMBER.fullmatch(v) else np.nan for v in field.values.to_pylist()]
    numbers: Float64[np.ndarray, " items"] = np.asarray([*parsed, np.nan], np.float64)[field.codes]
    return numbers
