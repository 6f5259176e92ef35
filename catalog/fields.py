"""The fields that filters and facets read: a column of items, or `attributes.NAME`.

A text field is stored as its distinct values, and for each item a code: the index of its value. So
a comparison reads each distinct value only once. If items have several values, the codes of all
items are in one array, and offsets say where the codes of each item begin. A number field is a
float64 array. All are computed on first use and cached.
"""

import copy
import datetime
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int32, Int64, Integer

from catalog.attribute_roles import ATTRIBUTE
from catalog.item_text import fold_case
from catalog.items import ITEM_FIELDS
from catalog.schema import ATTRIBUTES, DATE, FLAG, ITEMS, TEXT, TEXTS, VECTOR, WHOLE

Kind: TypeAlias = Literal["text", "number", "flag", "date"]
Number: TypeAlias = int | float
# Selected rows of a store: a mask, distinct row numbers, or a slice.
RowSelection: TypeAlias = Bool[np.ndarray, " items"] | Integer[np.ndarray, " rows"] | slice

LEVEL = " > "  # separates the levels of a category
CATEGORIES = ("category", "categories")  # the fields whose values have levels
MAX_CATEGORY_LEVEL = 20  # largest number of levels of a category that facets and caps can select
# maximum number of attributes and levels of categories with cached codes (4 bytes per item)
MAX_CACHED = 64
# Columns without codes: nearly all items have different values, so codes would save nothing.
DISTINCT = frozenset(field.name for field in ITEM_FIELDS if field.distinct)
COLUMNS = tuple(c.name for c in ITEMS.columns if c.type not in (ATTRIBUTES, VECTOR))

_EPOCH = datetime.date(1970, 1, 1).toordinal()  # dates are counted in days since 1970

_KINDS: Mapping[pa.DataType, Kind] = {TEXT: "text", TEXTS: "text", FLAG: "flag", DATE: "date"}
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
    """The values of a text field for all items. An entry is one value of one item.

    Attributes:
        values: The distinct values, or the value of each entry if `codes` is None.
        codes: For each entry, the index of its value in `values`. Without offsets, a row without a
            value has the code -1.
        offsets: The index of each row's first entry. None: each row has exactly one entry.
    """

    values: pa.Array
    codes: Int32[np.ndarray, " entries"] | None
    offsets: Int64[np.ndarray, " items_and_1"] | None = None

    def rows_where(self, holds: pa.Array | np.ndarray) -> Bool[np.ndarray, " items"]:
        """Return a mask of the items with a value that passes a test; a missing value never passes.

        Args:
            holds: For each of `values`, whether it passes; null counts as false.
        """
        if isinstance(holds, pa.Array):
            holds = pc.fill_null(holds, False).to_numpy(zero_copy_only=False)
        # The code of a missing value is -1, which reads the False at the end.
        passed: Bool[np.ndarray, "_"] = (
            np.asarray(holds) if self.codes is None else np.append(holds, False)[self.codes]
        )
        if self.offsets is None:
            return passed
        before = np.concatenate([[0], np.cumsum(passed)])  # passed entries before each entry
        rows: Bool[np.ndarray, " items"] = np.diff(before[self.offsets]) > 0
        return rows

    def selected(
        self, selection: RowSelection
    ) -> tuple[Int32[np.ndarray, " chosen"], Int64[np.ndarray, " chosen"] | None]:
        """Return the codes of the entries of selected rows; the field must have codes.

        Returns:
            The codes, and the row of each code: rows are numbered within the selection, and rise.
            Without offsets, there is one code per row, -1 without a value, and None for the rows.
        """
        assert self.codes is not None
        if self.offsets is None:
            return self.codes[selection], None
        starts, counts = self.offsets[:-1][selection], np.diff(self.offsets)[selection]
        rows = np.repeat(np.arange(len(starts)), counts)
        # The entries of a row are consecutive: its first entry, plus the position within the row.
        entries = np.arange(len(rows)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        return self.codes[entries], rows

    @cached_property
    def first_codes(self) -> Int32[np.ndarray, " items"]:
        """The code of each row's first value; -1 without a value. The field must have codes."""
        assert self.codes is not None
        if self.offsets is None:
            return self.codes
        starts = np.where(np.diff(self.offsets) > 0, self.offsets[:-1], len(self.codes))
        return np.append(self.codes, np.int32(-1))[starts]

    @cached_property
    def numbers(self) -> Float64[np.ndarray, " values"]:
        """Each of `values` as a number; NaN if it is no plain number, such as "65" or "-1.5"."""
        texts = self.values.to_pylist()
        return np.array([float(v) if _NUMBER.fullmatch(v) else np.nan for v in texts], np.float64)

    @cached_property
    def folded(self) -> pa.Array:
        """Each of `values` in the form of `fold_case`; null for null."""
        texts = self.values.to_pylist()
        return pa.array([None if text is None else fold_case(text) for text in texts], TEXT)

    @cached_property
    def first_numbers(self) -> Float64[np.ndarray, " items"]:
        """For each row, the first of its values that is a plain number, as a number; else NaN."""
        codes, rows = self.selected(slice(None))
        read: Float64[np.ndarray, " entries"] = np.append(self.numbers, np.nan)[codes]
        if rows is None:
            return read
        known = ~np.isnan(read)
        numbers = np.full(len(self.first_codes), np.nan)
        numbers[rows[known][::-1]] = read[known][::-1]  # backwards, so that the first number counts
        return numbers

    def cut_to_level(self, level: int) -> "TextField":
        """Return a field whose values are only the first levels of these categories."""
        short = [LEVEL.join(value.split(LEVEL)[:level]) for value in self.values.to_pylist()]
        values, new_codes = _encode(pa.array(short, TEXT))
        codes, rows = self.selected(slice(None))
        codes = np.append(new_codes, np.int32(-1))[codes]
        if rows is None:
            return TextField(values, codes)
        return _text_field(values, codes, rows, len(self.first_codes))


class Fields:
    """The fields of one table of items. Safe to use from several threads."""

    def __init__(self, columns: Mapping[str, pa.Array], items: int) -> None:
        """Store the columns of the schema, each as one Arrow array, and the number of items."""
        self._columns = columns
        self._texts = _Texts(columns, items)
        self._numbers: dict[str, Float64[np.ndarray, " items"]] = {}

    def text(self, field: str, level: int = 0) -> TextField:
        """Return the values of a text field.

        Args:
            field: A text column or an attribute.
            level: Number of leading levels of a category to keep; 0 for all levels.

        Raises:
            KeyError: there is no such field.
        """
        return self._texts.field(field, level)

    def numbers(self, field: str) -> Float64[np.ndarray, " items"]:
        """Return the values of a field as one number per row; NaN without a value.

        Dates are days since 1970-01-01, and flags are 0 or 1. For an attribute, the number is the
        first of the item's values that is a plain number, such as "65" or "-1.5".

        Raises:
            KeyError: there is no such field.
        """
        if field.startswith(ATTRIBUTE):
            return self.text(field).first_numbers
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
        # Attributes, and categories that are cut to a level.
        self._cached: OrderedDict[tuple[str, int], TextField] = OrderedDict()
        self._entries: _Entries | None = None

    def field(self, field: str, level: int) -> TextField:
        """Return a text field; see `Fields.text`."""
        with self._lock:
            if not field.startswith(ATTRIBUTE) and not level:
                return self._column(field)
            key = (field, level)
            if key not in self._cached:
                self._cached[key] = (
                    self._column(field).cut_to_level(level) if level else self._attribute(field)
                )
            self._cached.move_to_end(key)
            if len(self._cached) > MAX_CACHED:
                self._cached.popitem(last=False)
            return self._cached[key]

    def _column(self, name: str) -> TextField:
        if name not in self._texts:
            column = self._columns[name]
            if name == "categories":
                # Items with one category have it only in the column `category`.
                whole = column.null_count == len(column)
                self._texts[name] = self._column("category") if whole else self._categories()
            elif column.type == TEXTS:
                lengths = pc.fill_null(pc.list_value_length(column), 0)
                offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
                self._texts[name] = TextField(pc.list_flatten(column), None, offsets)
            elif name in DISTINCT:
                self._texts[name] = TextField(column, None)
            else:
                self._texts[name] = TextField(*_encode(column))
        return self._texts[name]

    def _categories(self) -> TextField:
        first, column = self._columns["category"], self._columns["categories"]
        only = np.flatnonzero(pc.and_(pc.is_null(column), pc.is_valid(first)))
        lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
        rows = np.concatenate([np.repeat(np.arange(self._items), lengths), only])
        texts = pa.concat_arrays([pc.list_flatten(column), first.take(pa.array(only))])
        order = np.argsort(rows, kind="stable")
        values, codes = _encode(texts.take(pa.array(order)))
        return _text_field(values, codes, rows[order], self._items)

    def _attribute(self, field: str) -> TextField:
        if self._entries is None:
            self._entries = _Entries.of(self._columns["attributes"])
        return self._entries.field(field.removeprefix(ATTRIBUTE), self._items)


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
        """Return the values of an attribute."""
        entries = np.flatnonzero(self.codes == self.names.get(name, -2))
        rows = np.searchsorted(self.starts, entries, side="right") - 1
        known = (rows >= 0) & (rows < items)  # a slice of a table has entries beyond its items
        values, codes = _encode(self.values.take(pa.array(entries[known])))
        return _text_field(values, codes, rows[known], items)


def _encode(column: pa.Array) -> tuple[pa.Array, Int32[np.ndarray, " values"]]:
    """Return the distinct values of a column, and the index of each row's value among them.

    The index is -1 for null and for an empty text, because an empty text counts as missing.
    """
    coded = column.dictionary_encode()
    codes = np.array(coded.indices.fill_null(-1), np.int32)
    codes[codes == coded.dictionary.index("").as_py()] = -1
    return coded.dictionary, codes


def _text_field(
    values: pa.Array,
    codes: Int32[np.ndarray, " entries"],
    rows: Int64[np.ndarray, " entries"],
    items: int,
) -> TextField:
    """Return a field of entries with rising rows; missing and repeated values are left out."""
    known = codes >= 0
    codes, rows = codes[known], rows[known]
    counts = np.bincount(rows, minlength=items)
    if counts.max(initial=0) > 1:
        _, first = np.unique(rows * len(values) + codes, return_index=True)
        first.sort()
        codes, rows = codes[first], rows[first]
        counts = np.bincount(rows, minlength=items)
    if counts.max(initial=0) > 1:
        return TextField(values, codes, np.concatenate([[0], np.cumsum(counts)]))
    single = np.full(items, -1, np.int32)
    single[rows] = codes
    return TextField(values, single)
