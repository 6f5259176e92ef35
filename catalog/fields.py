"""The fields of items as filters and facets see them: a column, or `attributes.NAME`.

Text is kept as the distinct values of a field and one code per item, so that a comparison looks at
each distinct value once; numbers are float64 arrays. Both are made when first asked for, and kept.
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

ATTRIBUTE = "attributes."  # what stands before the name of an attribute
MAX_ATTRIBUTES = 64  # attributes whose codes are kept, four bytes an item each
# Columns whose values are nearly all different: codes would cost memory and save no comparison.
DISTINCT = frozenset(field.name for field in ITEM_FIELDS if field.distinct)
COLUMNS = tuple(c.name for c in ITEMS.columns if c.type not in (ATTRIBUTES, VECTOR))

EPOCH = datetime.date(1970, 1, 1).toordinal()  # the day that dates are counted from

_KINDS: Mapping[pa.DataType, Kind] = {TEXT: "text", FLAG: "flag", DATE: "date"}
_KIND_OF = {c.name: _KINDS.get(c.type, "number") for c in ITEMS.columns if c.name in COLUMNS}
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)


def kind_of(field: str) -> Kind:
    """What the values of a field are; attributes are text.

    Raises:
        KeyError: there is no such field.
    """
    if field.startswith(ATTRIBUTE) and len(field) > len(ATTRIBUTE):
        return "text"
    return _KIND_OF[field]


def number_of(value: Number | datetime.date) -> float:
    """A value as `Fields.numbers` has it."""
    if isinstance(value, datetime.date):
        return float(value.toordinal() - EPOCH)
    return float(value)


def value_of(column: str, number: float) -> Number | datetime.date | None:
    """The other way round: what `Item` has for a number of a column; None for NaN."""
    if math.isnan(number):
        return None
    kind = ITEMS.arrow.field(column).type
    if kind == DATE:
        return datetime.date.fromordinal(EPOCH + int(number))
    if kind == FLAG:
        return bool(number)
    return int(number) if kind == WHOLE else float(number)


@dataclass(frozen=True)
class TextField:
    """A text field of all items.

    Attributes:
        values: The values: all different, or the column itself where `codes` is None.
        codes: By row, where in `values` the item's own is; -1 for an item without one.
    """

    values: pa.Array
    codes: Int32[np.ndarray, " items"] | None

    def rows_where(self, holds: pa.Array) -> Bool[np.ndarray, " items"]:
        """Items whose value passed a test; null, and so a missing value, is false.

        Args:
            holds: Of each of `values`, whether it passed.
        """
        passed = np.asarray(pc.fill_null(holds, False).to_numpy(zero_copy_only=False))
        if self.codes is None:
            return passed
        # A missing value has code -1, which reads the false put at the end.
        found: Bool[np.ndarray, " items"] = np.append(passed, False)[self.codes]
        return found


class Fields:
    """The fields of one table of items. Safe to use from several threads."""

    def __init__(self, columns: Mapping[str, pa.Array], items: int) -> None:
        """Take the columns of the schema, each in one piece."""
        self._columns = columns
        self._texts = _Texts(columns, items)
        self._numbers: dict[str, Float64[np.ndarray, " items"]] = {}

    def text(self, field: str) -> TextField:
        """A text field by row.

        Raises:
            KeyError: there is no such field.
        """
        return self._texts.field(field)

    def numbers(self, field: str) -> Float64[np.ndarray, " items"]:
        """A number by row: days since 1970-01-01 for a date, 0 or 1 for a flag; NaN for none.

        Of an attribute, the values that read as a plain number, such as "65" or "-1.5".

        Raises:
            KeyError: there is no such field.
        """
        if field.startswith(ATTRIBUTE):
            return _read_numbers(self.text(field))
        found = self._numbers.get(field)
        if found is None:
            column = self._columns[field]
            column = column.cast(pa.int32()) if column.type in (FLAG, DATE) else column
            wide = column.cast(pa.float64(), safe=False)
            # Two threads may both have made it; both go on with the same one.
            found = self._numbers.setdefault(field, np.asarray(pc.fill_null(wide, float("nan"))))
        return found

    def with_numbers(
        self, changes: Mapping[str, Mapping[int, Number | datetime.date | None]]
    ) -> "Fields":
        """Other numbers, flags or dates in some rows; all else is shared.

        Args:
            changes: By column, the new values by row, None for none.
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
        """See `Fields.text`."""
        with self._lock:
            if field.startswith(ATTRIBUTE):
                return self._attribute(field.removeprefix(ATTRIBUTE))
            if field not in self._texts:
                column = self._columns[field]
                self._texts[field] = (
                    TextField(column, None) if field in DISTINCT else TextField(*_encoded(column))
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
    """All attributes of all items in one list, item after item."""

    names: Mapping[str, int]  # the code of each name
    codes: Int32[np.ndarray, " entries"]  # of the entries' names
    values: pa.Array  # of the entries
    starts: Int64[np.ndarray, " items_and_1"]  # where the entries of each item begin

    @classmethod
    def of(cls, column: pa.Array) -> "_Entries":
        starts = column.offsets.to_numpy().astype(np.int64)
        names, codes = _encoded(column.keys)
        by_name = {name: code for code, name in enumerate(names.to_pylist())}
        return cls(by_name, codes, column.items, starts)

    def field(self, name: str, items: int) -> TextField:
        """The values of one attribute; of a name given twice the last counts, as in `Item`."""
        where = np.flatnonzero(self.codes == self.names.get(name, -2))
        rows = np.searchsorted(self.starts, where, side="right") - 1
        known = (rows >= 0) & (rows < items)  # a slice of a table has entries beyond its items
        known &= self.values.take(pa.array(where)).is_valid().to_numpy(zero_copy_only=False)
        values, given = _encoded(self.values.take(pa.array(where[known])))
        codes = np.full(items, -1, np.int32)
        codes[rows[known]] = given
        return TextField(values, codes)


def _encoded(column: pa.Array) -> tuple[pa.Array, Int32[np.ndarray, " values"]]:
    """The different values of a column, and where among them each of its own is.

    The code is -1 for null and for an empty text, which is no value either.
    """
    coded = column.dictionary_encode()
    codes = np.array(coded.indices.fill_null(-1), np.int32)
    codes[codes == coded.dictionary.index("").as_py()] = -1
    return coded.dictionary, codes


def _read_numbers(field: TextField) -> Float64[np.ndarray, " items"]:
    read = [float(v) if _NUMBER.fullmatch(v) else np.nan for v in field.values.to_pylist()]
    numbers: Float64[np.ndarray, " items"] = np.asarray([*read, np.nan], np.float64)[field.codes]
    return numbers
