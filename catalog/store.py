"""The catalogue in memory: columns of products, found by row or by id."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int32

from base.errors import InputError
from catalog.fields import Fields, value_of
from catalog.items import Item
from catalog.schema import DATE, FLAG, ITEMS, NUMBER, TEXT, WHOLE

# Columns that can change without another row: no model and no index reads them.
NUMERIC = {column.name for column in ITEMS.columns if column.type in (NUMBER, WHOLE, FLAG, DATE)}
_TEXTS = {column.name for column in ITEMS.columns if column.type == TEXT}


class ItemStore:
    """Products by row (0, 1, …: the order of the table) and by id.

    Columns stay in Arrow; a product becomes a Python object only when asked for, so a million
    products cost about the size of their text and one dictionary of ids.
    """

    def __init__(self, table: pa.Table) -> None:
        """Takes a table of items.

        Args:
            table: the columns of `schema.ITEMS`; optional ones may be left out. Its values have
                passed `read_dataset`, or come from a bundle.

        Raises:
            InputError: a required column is missing, a column has another type than the schema's
                and cannot be cast to it, or an id is missing or repeated.
        """
        self._take(_conform(table))
        if len(self._rows) < len(self.ids) or None in self._rows or "" in self._rows:
            raise InputError("items: an item_id is missing or repeated; each needs one of its own")

    @classmethod
    def of(cls, items: Sequence[Item]) -> "ItemStore":
        """A store of items that are already objects.

        Raises:
            InputError: an id is empty or repeated.
        """
        return cls(_table(items))

    @classmethod
    def joined(cls, *parts: tuple["ItemStore", Bool[np.ndarray, " rows"]]) -> "ItemStore":
        """The rows of several stores that a mask is true of, one after the other.

        Raises:
            InputError: an id is repeated among them.
        """
        return cls(pa.concat_tables([s._current().filter(pa.array(mask)) for s, mask in parts]))

    @classmethod
    def versions(cls, parts: Sequence["ItemStore"]) -> "ItemStore":
        """All rows of stores, one behind the other; of several rows of an item the last counts."""
        if len(parts) == 1:
            return parts[0]
        store = copy.copy(parts[0])
        store._take(pa.concat_tables([part._current() for part in parts]).combine_chunks())
        return store

    def with_numbers(self, changes: Mapping[str, Mapping[int, Any]]) -> "ItemStore":
        """Other values of numeric columns; all else is shared.

        Args:
            changes: By column (see `NUMERIC`), the new values by row, None for none.
        """
        store = copy.copy(self)
        store.fields = self.fields.with_numbers(changes)
        known = dict(self._numbers)  # a copy: searches add to it
        store._numbers = {c: n for c, n in known.items() if c not in changes}
        store._changed = self._changed | changes.keys()
        return store

    def _take(self, table: pa.Table) -> None:
        self.table: pa.Table = table
        self.ids: Sequence[str] = self.table["item_id"].to_pylist()
        self._rows = {item_id: row for row, item_id in enumerate(self.ids)}
        self._columns = {
            name: self.table[name].combine_chunks()
            for name in self.table.column_names
            if name != "embedding"
        }
        self._changed: frozenset[str] = frozenset()  # columns that are no longer the table's
        self._numbers: dict[str, Float32[np.ndarray, " items"]] = {}
        self.fields = Fields(self._columns, len(self.ids))  # for filters and facets

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, item_id: str) -> int:
        """The row of an item.

        Raises:
            KeyError: no item has this id.
        """
        return self._rows[item_id]

    def find(self, item_id: str) -> int:
        """The row of an item; -1 where none has the id."""
        return self._rows.get(item_id, -1)

    def rows(self, item_ids: Sequence[str]) -> Int32[np.ndarray, " n"]:
        """The rows of items, -1 where no item has the id."""
        return np.fromiter(map(self.find, item_ids), np.int32, len(item_ids))

    def item(self, row: int) -> Item:
        """The item in a row.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} items")
        values: dict[str, Any] = {name: c[row].as_py() for name, c in self._columns.items()}
        for name in self._changed:
            values[name] = value_of(name, self.fields.numbers(name)[row])
        pairs = values.pop("attributes") or ()
        return Item(**values, attributes={name: v for name, v in pairs if v is not None})

    def number(self, column: str) -> Float32[np.ndarray, " items"]:
        """A numeric column by row; NaN where an item has no value.

        Args:
            column: price (currency units), rating (stars), rating_count, in_stock (0 or 1) or
                released (days since 1970-01-01).

        Returns:
            A read-only array, the same one each time.

        Raises:
            KeyError: the schema has no such numeric column.
        """
        if column not in NUMERIC:
            raise KeyError(f"{column} is no numeric column of items")
        if column not in self._numbers:
            numbers = self.fields.numbers(column).astype(np.float32)
            numbers.flags.writeable = False
            self._numbers[column] = numbers
        return self._numbers[column]

    def text(self, column: str) -> Sequence[str | None]:
        """A text column by row; None where an item has no value.

        Raises:
            KeyError: the schema has no such text column.
        """
        if column not in _TEXTS:
            raise KeyError(f"{column} is no text column of items")
        values: list[str | None] = self._columns[column].to_pylist()
        return values

    def write(self, path: Path) -> None:
        """Writes the items to a parquet file."""
        pq.write_table(self._current(), path, compression="zstd")

    def _current(self) -> pa.Table:
        """The table with the numbers as they are now."""
        table = self.table
        for name in sorted(self._changed):
            place = table.schema.get_field_index(name)
            numbers = self.fields.numbers(name)
            column = pa.array(numbers, mask=np.isnan(numbers))
            kind = ITEMS.arrow.field(name).type
            if kind != NUMBER:
                column = column.cast(pa.int32() if kind == DATE else pa.int64()).cast(kind)
            table = table.set_column(place, name, column)
        return table

    @classmethod
    def read(cls, path: Path) -> "ItemStore":
        """Reads what `write` wrote.

        Raises:
            InputError: the file is missing or is not such a file.
        """
        try:
            with path.open("rb") as handle, pq.ParquetFile(handle) as file:
                table = file.read()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
        except pa.ArrowException as error:
            raise InputError(f"{path}: not a readable parquet file ({error})") from error
        return cls(table)


def _table(items: Sequence[Item]) -> pa.Table:
    rows = [{**vars(item), "attributes": list(item.attributes.items())} for item in items]
    names = [column for column in ITEMS.arrow if column.name != "embedding"]
    return _conform(pa.Table.from_pylist(rows, schema=pa.schema(names)))


def _conform(table: pa.Table) -> pa.Table:
    """The table with exactly the schema's columns; missing optional ones are null."""
    columns = []
    for spec in ITEMS.columns:
        if spec.name in table.column_names:
            try:
                columns.append(table[spec.name].cast(spec.type))
            except pa.ArrowException as error:
                raise InputError(f"items, column {spec.name}: {error}") from error
        elif spec.required:
            raise InputError(f"items, column {spec.name}: missing; add it")
        else:
            columns.append(pa.chunked_array([pa.nulls(len(table), spec.type)]))
    return pa.table(columns, schema=ITEMS.arrow)
