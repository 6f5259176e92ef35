"""Items in memory, by row and by id, stored as Arrow columns."""

import copy
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int32

from base.errors import InputError
from base.untrusted.parquet import read_table
from catalog.attribute_roles import ALL_READ, AttributeRoles
from catalog.fields import Fields, value_of
from catalog.items import Item, all_values, one_or_several
from catalog.schema import DATE, FLAG, ITEMS, NUMBER, TEXT, TEXTS, WHOLE

# Columns that no model and no index reads: their values can change without a new row.
NUMERIC = {column.name for column in ITEMS.columns if column.type in (NUMBER, WHOLE, FLAG, DATE)}
_TEXTS = {column.name for column in ITEMS.columns if column.type == TEXT}
_LISTS = {column.name for column in ITEMS.columns if column.type == TEXTS}


class ItemStore:
    """Items by row (0, 1, …, in the order of the table) and by id.

    Columns stay in Arrow, and `item` makes a Python object on each call. So items need about as
    much memory as their text, plus one dictionary of ids.
    """

    def __init__(self, table: pa.Table) -> None:
        """Take a table of items.

        Args:
            table: The columns of `schema.ITEMS`; optional columns may be absent. The values must be
                valid, as in a table from `read_dataset` or from a bundle. Only items with several
                categories have a value in `categories`.

        Raises:
            InputError: a required column is missing, a column cannot be cast to the schema's type,
                an id is missing or repeated, or the roles of attributes are damaged.
        """
        self._take(_conform(table))
        if len(self._rows) < len(self.ids) or None in self._rows or "" in self._rows:
            raise InputError("items: an item_id is missing or repeated; give each item its own")

    @classmethod
    def of(cls, items: Sequence[Item], roles: AttributeRoles = ALL_READ) -> "ItemStore":
        """Return a store of items whose attributes have some roles.

        Raises:
            InputError: an id is empty or repeated.
        """
        return cls(_table(items).replace_schema_metadata(roles.metadata))

    @classmethod
    def concatenate(cls, *parts: tuple["ItemStore", Bool[np.ndarray, " rows"]]) -> "ItemStore":
        """Join several stores into one, with only the rows that each store's mask selects.

        The first store decides the roles of attributes.

        Raises:
            InputError: two selected rows have the same id.
        """
        return cls(pa.concat_tables([s._current().filter(pa.array(mask)) for s, mask in parts]))

    @classmethod
    def versions(cls, parts: Sequence["ItemStore"]) -> "ItemStore":
        """Join all rows of several stores; a lookup by id gives an item's last row."""
        if len(parts) == 1:
            return parts[0]
        store = copy.copy(parts[0])
        store._take(pa.concat_tables([part._current() for part in parts]).combine_chunks())
        return store

    def with_numbers(self, changes: Mapping[str, Mapping[int, Any]]) -> "ItemStore":
        """Return a store with other values in numeric columns; it shares all other data.

        Args:
            changes: New values, by column of `NUMERIC` and row; None removes a value.
        """
        store = copy.copy(self)
        store.fields = self.fields.with_numbers(changes)
        cached = dict(self._numbers)  # a copy, because searches add to the original
        store._numbers = {c: n for c, n in cached.items() if c not in changes}
        store._changed = self._changed | changes.keys()
        return store

    def _take(self, table: pa.Table) -> None:
        self.table: pa.Table = table
        self.roles = AttributeRoles.of(table.schema.metadata)
        self.ids: Sequence[str] = self.table["item_id"].to_pylist()
        self._rows = {item_id: row for row, item_id in enumerate(self.ids)}
        self._columns = {
            name: self.table[name].combine_chunks()
            for name in self.table.column_names
            if name != "embedding"
        }
        # The columns with a value in any row. `item` reads only these, because most are absent.
        self._filled = [(n, c) for n, c in self._columns.items() if c.null_count < len(c)]
        self._changed: frozenset[str] = frozenset()  # columns whose values in `table` are old
        self._numbers: dict[str, Float32[np.ndarray, " items"]] = {}
        self.fields = Fields(self._columns, len(self.ids))  # for filters and facets

    def __len__(self) -> int:
        return len(self.ids)

    def attribute_pairs(self, without: Collection[str]) -> tuple[pa.Array, pa.Array]:
        """Return the names and values of the attributes of all items, without some names."""
        attributes = self.table["attributes"].combine_chunks()
        names, values = attributes.keys, attributes.items
        if not without:
            return names, values
        kept = pc.invert(pc.is_in(names, pa.array(sorted(without), names.type)))
        return names.filter(kept), values.filter(kept)

    def row(self, item_id: str) -> int:
        """Return the row of an item; -1 if no item has the id."""
        return self._rows.get(item_id, -1)

    def rows(self, item_ids: Sequence[str]) -> Int32[np.ndarray, " n"]:
        """Return the rows of items; -1 for an id that no item has."""
        return np.fromiter(map(self.row, item_ids), np.int32, len(item_ids))

    def item(self, row: int) -> Item:
        """Return the item in a row.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} items")
        values: dict[str, Any] = {name: column[row].as_py() for name, column in self._filled}
        for name in self._changed:
            values[name] = value_of(name, self.fields.numbers(name)[row])
        for name in values.keys() & _LISTS:
            values[name] = tuple(values[name] or ())
        attributes: dict[str, list[str]] = {}
        for name, value in values.get("attributes") or ():
            if value is not None:
                attributes.setdefault(name, []).append(value)
        values["attributes"] = {name: one_or_several(v) for name, v in attributes.items()}
        return Item(**values)

    def number(self, column: str) -> Float32[np.ndarray, " items"]:
        """Return a numeric column by row; NaN for an item without a value.

        Args:
            column: One of `NUMERIC`. Flags are 0 or 1, dates are days since 1970-01-01.

        Returns:
            A read-only array, the same object on each call.

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
        """Return a text column by row; None for an item without a value.

        Raises:
            KeyError: the schema has no such text column.
        """
        if column not in _TEXTS:
            raise KeyError(f"{column} is no text column of items")
        values: list[str | None] = self._columns[column].to_pylist()
        return values

    def write(self, path: Path) -> None:
        """Write the items to a parquet file."""
        pq.write_table(self._current(), path, compression="zstd")

    def _current(self) -> pa.Table:
        """Return the table with the current values of numeric columns."""
        table = self.table
        for name in sorted(self._changed):
            position = table.schema.get_field_index(name)
            numbers = self.fields.numbers(name)
            column = pa.array(numbers, mask=np.isnan(numbers))
            kind = ITEMS.arrow.field(name).type
            if kind != NUMBER:
                column = column.cast(pa.int32() if kind == DATE else pa.int64()).cast(kind)
            table = table.set_column(position, name, column)
        return table

    @classmethod
    def read(
        cls,
        path: Path,
        most_bytes: int = sys.maxsize,
        before_step: Callable[[], object] = lambda: None,
    ) -> "ItemStore":
        """Read a file that `write` wrote.

        Args:
            path: The file.
            most_bytes: Maximum memory of the items.
            before_step: Called between steps. An exception that it raises ends the reading.

        Raises:
            InputError: the file is missing, `write` did not write it, or its items need more
                memory.
        """
        return cls(read_table(path, most_bytes, before_step))


def _table(items: Sequence[Item]) -> pa.Table:
    rows = [
        {
            **vars(item),
            "categories": item.categories if len(item.categories) > 1 else None,
            "attributes": [(k, v) for k, vs in item.attributes.items() for v in all_values(vs)],
        }
        for item in items
    ]
    names = [column for column in ITEMS.arrow if column.name != "embedding"]
    return _conform(pa.Table.from_pylist(rows, schema=pa.schema(names)))


def _conform(table: pa.Table) -> pa.Table:
    """Return the table with exactly the schema's columns; absent optional columns are null."""
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
    roles = AttributeRoles.of(table.schema.metadata)
    return pa.table(columns, schema=ITEMS.arrow.with_metadata(roles.metadata))
