"""What is searched at one moment: the items of a bundle, and what has changed since.

A catalogue never changes. A write makes another one that shares all but what it touched, so whoever
has one sees a single state of all items, however long it takes. Rows stay what they are from one
catalogue to the next: a changed item gets a new row behind all others, and its old one is dead.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32

from catalog.facets import Chosen, Facet, FacetCounts, count
from catalog.filters import Filter, matching
from catalog.items import Item
from catalog.parts import followed_by, split
from catalog.store import ItemStore
from catalog.value_codes import ValueCodes

MAX_CODES = 32  # fields whose codes are kept, four bytes a value each


@dataclass(frozen=True)
class Catalogue:
    """Items by row and by id.

    Attributes:
        base: The items of the bundle: rows from 0.
        added: New items and new versions of items, in parts: the rows behind them. Of several
            versions of an item the last counts.
        alive: Whether each row is an item as it is now; None where all are.
    """

    base: ItemStore
    added: tuple[ItemStore, ...] = ()
    alive: Bool[np.ndarray, " rows"] | None = None
    # Codes that were made so far; texts, and so codes, outlive changes of numbers and deletions.
    _codes: dict[tuple[str, int], ValueCodes] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def of(cls, base: ItemStore) -> "Catalogue":
        """The items of a store, unchanged."""
        return cls(base)

    def __len__(self) -> int:
        """The number of items."""
        return self.rows_in_all if self.alive is None else int(np.count_nonzero(self.alive))

    @cached_property
    def parts(self) -> tuple[ItemStore, ...]:
        """Where the rows are, one part behind the other: the base first."""
        return (self.base, *self.added)

    @property
    def rows_in_all(self) -> int:
        """The number of rows, dead ones among them."""
        return len(self.base) + self.added_rows

    @property
    def added_rows(self) -> int:
        """The number of rows behind those of the base."""
        return sum(map(len, self.added))

    @property
    def changed_rows(self) -> int:
        """The number of rows that were added to the base, or have died in it."""
        size = len(self.base)
        return self.rows_in_all - int(np.count_nonzero(self.all_alive[:size]))

    def id(self, row: int) -> str:
        """The id of the item in a row.

        Raises:
            IndexError: there is no such row.
        """
        store, row = self._at(row)
        return store.ids[row]

    def item(self, row: int) -> Item:
        """The item in a row.

        Raises:
            IndexError: there is no such row.
        """
        store, row = self._at(row)
        return store.item(row)

    def row(self, item_id: str) -> int:
        """The row of an item; -1 where there is none of the id."""
        for store, start in zip(reversed(self.parts), reversed(self._starts), strict=True):
            if (at := store.find(item_id)) >= 0:
                row = start + at
                return row if self.alive is None or self.alive[row] else -1
        return -1

    def rows(self, item_ids: Sequence[str]) -> Int32[np.ndarray, " ids"]:
        """The rows of items, -1 where there is none of the id."""
        return np.fromiter((self.row(item_id) for item_id in item_ids), np.int32, len(item_ids))

    def texts(self, column: str, rows: Int32[np.ndarray, " rows"]) -> list[str | None]:
        """A text column of some rows; None where an item has no value.

        Raises:
            IndexError: there is no such row.
        """
        found = []
        for row in rows.tolist():
            store, at = self._at(row)
            found.append(store.table[column][at].as_py())
        return found

    def numbers(
        self, column: str, rows: Int32[np.ndarray, " rows"]
    ) -> Float32[np.ndarray, " rows"]:
        """A numeric column of some rows, as `ItemStore.number` has it.

        Raises:
            IndexError: there is no such row.
        """
        values = np.empty(len(rows), np.float32)
        for store, (own, at) in zip(self.parts, split(rows, self._sizes), strict=True):
            values[own] = store.number(column)[at]
        return values

    def groups(self, rows: Int32[np.ndarray, " rows"]) -> Int32[np.ndarray, " rows"]:
        """A number for the group_id of each of some rows, the same for the same; -1 for none."""
        return self.codes("group_id").at(rows)

    def codes(self, field: str, level: int = 0) -> ValueCodes:
        """The values of a text field as numbers; see `ValueCodes.of`."""
        key = (field, level)
        found = self._codes.get(key)
        if found is None:
            found = ValueCodes.of(self.parts, field, level)
            # Two threads may both have made it; either will do.
            self._codes[key] = found
            for oldest in list(self._codes)[:-MAX_CODES]:
                self._codes.pop(oldest, None)
        return found

    def matching(self, filter: Filter) -> Bool[np.ndarray, " rows"]:
        """The rows whose item passes a filter that `filters.check` has let through."""
        passed = matching(filter, self.base)
        if self.added:
            passed = np.concatenate([passed, *(matching(filter, part) for part in self.added)])
        return passed if self.alive is None else passed & self.alive

    @cached_property
    def all_alive(self) -> Bool[np.ndarray, " rows"]:
        """A mask of every item."""
        return np.ones(self.rows_in_all, np.bool_) if self.alive is None else self.alive

    def count(
        self,
        facet: Facet,
        chosen: Bool[np.ndarray, " rows"] | Int32[np.ndarray, " chosen"] | None = None,
    ) -> FacetCounts:
        """Count a facet that `facets.check` has let through.

        Args:
            facet: What to count.
            chosen: A mask of rows, or rows that are all different; None for every item.
        """
        chosen = self.alive if chosen is None else chosen
        of_parts: Sequence[Chosen]
        if chosen is None:
            of_parts = [slice(None)] * len(self.parts)
        elif chosen.dtype == np.bool_:
            of_parts = np.split(chosen, self._starts[1:])
        else:
            of_parts = [at for _, at in split(chosen, self._sizes)]
        return count(facet, tuple(zip(self.parts, of_parts, strict=True)))

    def with_numbers(self, changes: Mapping[str, Mapping[int, Any]]) -> "Catalogue":
        """Other numbers in some rows.

        Args:
            changes: By column, the new values (None for none) by row.
        """
        by_part: dict[int, dict[str, dict[int, Any]]] = {}
        for column, values in changes.items():
            for row, value in values.items():
                part, at = self._place(row)
                by_part.setdefault(part, {}).setdefault(column, {})[at] = value
        stores = list(self.parts)
        for part, of_part in by_part.items():
            stores[part] = stores[part].with_numbers(of_part)
        return replace(self, base=stores[0], added=tuple(stores[1:]))

    def without(self, rows: Sequence[int]) -> "Catalogue":
        """The same without some rows."""
        if not rows:
            return self
        alive = self.all_alive.copy()
        alive[list(rows)] = False
        return replace(self, alive=alive)

    def with_items(self, items: Sequence[Item]) -> "Catalogue":
        """More items, in rows behind all others; they take the place of those of the same ids.

        Raises:
            InputError: an id is repeated among them.
        """
        if not items:
            return self
        replaced = [row for row in self.rows([item.item_id for item in items]).tolist() if row >= 0]
        alive = self.without(replaced).alive
        if alive is not None:
            alive = np.concatenate([alive, np.ones(len(items), np.bool_)])
        added = followed_by(self.added, ItemStore.of(items))
        return replace(self, added=added, alive=alive, _codes={})

    def compacted(self) -> ItemStore:
        """The items alone, in the order of their rows."""
        alive = np.split(self.all_alive, self._starts[1:])
        return ItemStore.joined(*zip(self.parts, alive, strict=True))

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(map(len, self.parts))

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """The first row of each part."""
        return tuple(accumulate(self._sizes[:-1], initial=0))

    def _place(self, row: int) -> tuple[int, int]:
        """The part that a row lies in, and the row that it is there."""
        if not 0 <= row < self._starts[-1] + self._sizes[-1]:
            raise IndexError(f"row {row} of {self.rows_in_all}")
        part = bisect_right(self._starts, row) - 1
        return part, row - self._starts[part]

    def _at(self, row: int) -> tuple[ItemStore, int]:
        part, at = self._place(row)
        return self.parts[part], at
