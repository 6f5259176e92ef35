"""The items that a search sees: the items of a bundle, with all changes since the build.

A catalogue is immutable, so a search sees the same state of all items from start to end. A write
makes a new catalogue, which shares all unchanged data with the old one. A row keeps its number in
all later catalogues: a changed item gets a new row at the end, and its old row is dead.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from catalog.attribute_roles import AttributeRoles
from catalog.facets import Facet, FacetCounts, count
from catalog.fields import RowSelection
from catalog.filters import Filter, matching
from catalog.items import Item
from catalog.parts import PART_ROWS, append_part, split
from catalog.store import ItemStore
from catalog.value_codes import ValueCodes

MAX_CODES = 32  # maximum number of cached `ValueCodes`, each with 4 bytes per row


@dataclass(frozen=True)
class Catalogue:
    """Items by row and by id.

    Attributes:
        base: The items of the bundle, in rows from 0.
        added: New items and new versions of items, in parts. Their rows follow the rows of the
            base. The last version of an item counts.
        alive: Whether each row holds the current version of an item; None if all rows do.
        part_rows: Maximum number of rows of an added part that is joined from smaller parts.
    """

    base: ItemStore
    added: tuple[ItemStore, ...] = ()
    alive: Bool[np.ndarray, " rows"] | None = None
    part_rows: int = PART_ROWS
    # Cached codes of text fields. They stay valid when numbers change or items are deleted.
    _codes: dict[tuple[str, int], ValueCodes] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def of(cls, base: ItemStore) -> "Catalogue":
        """Return a catalogue of the items of a store, without changes."""
        return cls(base)

    def __len__(self) -> int:
        """The number of items."""
        return self.rows_in_all if self.alive is None else int(np.count_nonzero(self.alive))

    @property
    def roles(self) -> AttributeRoles:
        """The roles of attributes, which the bundle decides."""
        return self.base.roles

    @cached_property
    def parts(self) -> tuple[ItemStore, ...]:
        """All parts: the base, then the added parts."""
        return (self.base, *self.added)

    @property
    def rows_in_all(self) -> int:
        """The number of rows, including dead rows."""
        return len(self.base) + self.added_rows

    @property
    def added_rows(self) -> int:
        """The number of rows after the rows of the base."""
        return sum(map(len, self.added))

    @property
    def changed_rows(self) -> int:
        """The number of added rows, plus the number of dead rows of the base."""
        size = len(self.base)
        return self.rows_in_all - int(np.count_nonzero(self.all_alive[:size]))

    def id(self, row: int) -> str:
        """Return the id of the item in a row.

        Raises:
            IndexError: there is no such row.
        """
        store, store_row = self._locate(row)
        return store.ids[store_row]

    def item(self, row: int) -> Item:
        """Return the item in a row.

        Raises:
            IndexError: there is no such row.
        """
        store, store_row = self._locate(row)
        return store.item(store_row)

    def row(self, item_id: str) -> int:
        """Return the row of an item; -1 if no item has the id."""
        for store, start in zip(reversed(self.parts), reversed(self._starts), strict=True):
            if (store_row := store.row(item_id)) >= 0:
                row = start + store_row
                return row if self.alive is None or self.alive[row] else -1
        return -1

    def rows(self, item_ids: Sequence[str]) -> Int32[np.ndarray, " ids"]:
        """Return the rows of items; -1 for an id that no item has."""
        return np.fromiter((self.row(item_id) for item_id in item_ids), np.int32, len(item_ids))

    @cached_property
    def sorted_ids(self) -> list[str]:
        """The ids of all items, sorted."""
        rows = np.flatnonzero(self.all_alive).tolist()
        return sorted(map(self.id, rows))

    def texts(self, column: str, rows: Int32[np.ndarray, " rows"]) -> list[str | None]:
        """Return the values of a text column in some rows; None for an item without a value.

        Raises:
            IndexError: there is no such row.
        """
        values = []
        for row in rows.tolist():
            store, store_row = self._locate(row)
            values.append(store.table[column][store_row].as_py())
        return values

    def numbers(
        self, column: str, rows: Int32[np.ndarray, " rows"]
    ) -> Float32[np.ndarray, " rows"]:
        """Return the values of a numeric column in some rows, encoded as in `ItemStore.number`.

        Raises:
            IndexError: there is no such row.
        """
        values = np.empty(len(rows), np.float32)
        for store, (mask, store_rows) in zip(self.parts, split(rows, self._sizes), strict=True):
            values[mask] = store.number(column)[store_rows]
        return values

    def field_numbers(
        self, field: str, rows: Int32[np.ndarray, " rows"]
    ) -> Float64[np.ndarray, " rows"]:
        """Return the values of a field in some rows, encoded as in `Fields.numbers`.

        Raises:
            IndexError: there is no such row.
        """
        values = np.empty(len(rows))
        for store, (mask, store_rows) in zip(self.parts, split(rows, self._sizes), strict=True):
            values[mask] = store.fields.numbers(field)[store_rows]
        return values

    def groups(self, rows: Int32[np.ndarray, " rows"]) -> Int32[np.ndarray, " rows"]:
        """Return a number for each row's group_id: equal for equal ids, and -1 without a group."""
        return self.codes("group_id").at(rows)

    def codes(self, field: str, level: int = 0) -> ValueCodes:
        """Return the values of a text field as numbers; see `ValueCodes.of`."""
        key = (field, level)
        codes = self._codes.get(key)
        if codes is None:
            codes = ValueCodes.of(self.parts, field, level)
            # Two threads may both compute the codes; their results are equal.
            self._codes[key] = codes
            for oldest in list(self._codes)[:-MAX_CODES]:
                self._codes.pop(oldest, None)
        return codes

    def matching(self, filter: Filter) -> Bool[np.ndarray, " rows"]:
        """Return a mask of the items that pass a valid filter (see `filters.check`)."""
        passed = matching(filter, self.base)
        if self.added:
            passed = np.concatenate([passed, *(matching(filter, part) for part in self.added)])
        return passed if self.alive is None else passed & self.alive

    @cached_property
    def all_alive(self) -> Bool[np.ndarray, " rows"]:
        """A mask of the rows that hold the current version of an item."""
        return np.ones(self.rows_in_all, np.bool_) if self.alive is None else self.alive

    def count(
        self,
        facet: Facet,
        selection: Bool[np.ndarray, " rows"] | Int32[np.ndarray, " selected"] | None = None,
    ) -> FacetCounts:
        """Count a valid facet (see `facets.check`).

        Args:
            facet: The facet.
            selection: A mask of rows, or distinct row numbers; None for all items.
        """
        selection = self.alive if selection is None else selection
        by_part: Sequence[RowSelection]
        if selection is None:
            by_part = [slice(None)] * len(self.parts)
        elif selection.dtype == np.bool_:
            by_part = np.split(selection, self._starts[1:])
        else:
            by_part = [store_rows for _, store_rows in split(selection, self._sizes)]
        return count(facet, tuple(zip(self.parts, by_part, strict=True)))

    def with_numbers(self, changes: Mapping[str, Mapping[int, Any]]) -> "Catalogue":
        """Return a catalogue with other numbers in some rows.

        Args:
            changes: New values, by column and row; None removes a value.
        """
        by_part: dict[int, dict[str, dict[int, Any]]] = {}
        for column, values in changes.items():
            for row, value in values.items():
                part, store_row = self._part_of(row)
                by_part.setdefault(part, {}).setdefault(column, {})[store_row] = value
        stores = list(self.parts)
        for part, part_changes in by_part.items():
            stores[part] = stores[part].with_numbers(part_changes)
        return replace(self, base=stores[0], added=tuple(stores[1:]))

    def without(self, rows: Sequence[int]) -> "Catalogue":
        """Return a catalogue in which some rows are dead."""
        if not rows:
            return self
        alive = self.all_alive.copy()
        alive[list(rows)] = False
        return replace(self, alive=alive)

    def with_items(self, items: Sequence[Item]) -> "Catalogue":
        """Return a catalogue with more items in new rows; they replace items with the same ids.

        Raises:
            InputError: two of the items have the same id.
        """
        if not items:
            return self
        replaced = [row for row in self.rows([item.item_id for item in items]).tolist() if row >= 0]
        alive = self.without(replaced).alive
        if alive is not None:
            alive = np.concatenate([alive, np.ones(len(items), np.bool_)])
        added = append_part(self.added, ItemStore.of(items), self.part_rows)
        return replace(self, added=added, alive=alive, _codes={})

    def compacted(self) -> ItemStore:
        """Return a store of all items without dead rows, in row order."""
        alive = np.split(self.all_alive, self._starts[1:])
        return ItemStore.concatenate(*zip(self.parts, alive, strict=True))

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(map(len, self.parts))

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """The first row of each part."""
        return tuple(accumulate(self._sizes[:-1], initial=0))

    def _part_of(self, row: int) -> tuple[int, int]:
        """Return the index of a row's part, and the row within that part."""
        if not 0 <= row < self._starts[-1] + self._sizes[-1]:
            raise IndexError(f"row {row} of {self.rows_in_all}")
        part = bisect_right(self._starts, row) - 1
        return part, row - self._starts[part]

    def _locate(self, row: int) -> tuple[ItemStore, int]:
        """Return the store of a row, and the row within that store."""
        part, store_row = self._part_of(row)
        return self.parts[part], store_row
