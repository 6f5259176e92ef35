"""Merge the writes of a log into the items of a dataset."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from base.errors import InputError
from catalog.items import Item
from catalog.schema import ITEMS
from catalog.store import ItemStore
from live.log.reading import Change


@dataclass(frozen=True)
class MergedItems:
    """The items of a dataset after the writes of a log are applied.

    Attributes:
        items: The dataset's unwritten items in their order, then the written items in the order of
            their last writes.
        written: Number of written items in the table.
        deleted: Number of the dataset's items that were deleted.
        unknown: Ids of items that were left out: their writes are partial, and their other fields
            are unknown.
    """

    items: pa.Table
    written: int
    deleted: int
    unknown: tuple[str, ...]


def apply_changes(
    items: pa.Table, changes: Iterable[Change], others: ItemStore | None = None
) -> MergedItems:
    """Apply the writes of a log to the items of a dataset.

    Args:
        items: A valid table of `schema.ITEMS`.
        changes: The latest state of each written item.
        others: If the dataset lacks the item of a partial write, the other fields come from here.

    Raises:
        InputError: no item is left.
    """
    store = ItemStore(items)
    replaced_rows, unknown = [], []
    written: dict[str, Item] = {}
    for change in changes:
        row = store.row(change.item_id)
        after = None
        if change.fields is not None:
            after = _after(change, store, others)
            if after is None:
                unknown.append(change.item_id)
        if row >= 0:
            replaced_rows.append(row)
        if after is not None:
            written[change.item_id] = after
    unwritten = np.ones(len(store), np.bool_)
    unwritten[replaced_rows] = False
    table = _with_embeddings(ItemStore.of(list(written.values())), store)
    table = pa.concat_tables([store.table.filter(pa.array(unwritten)), table])
    if not len(table):
        raise InputError("all items of the dataset were deleted; there is nothing to build from")
    deleted = len(replaced_rows) - sum(store.row(item_id) >= 0 for item_id in written)
    return MergedItems(table.combine_chunks(), len(written), deleted, tuple(unknown))


def _after(change: Change, *stores: ItemStore | None) -> Item | None:
    """Return the item after its last write; None for a partial write if no store has the item."""
    fields: dict[str, Any] = dict(change.fields or {})
    if change.whole:
        return Item(change.item_id, **fields)
    for store in stores:
        if store is not None and (row := store.row(change.item_id)) >= 0:
            return store.item(row).changed(fields)
    return None


def _with_embeddings(written: ItemStore, store: ItemStore) -> pa.Table:
    """Return written items with the dataset's embeddings, because writes have no embeddings."""
    rows = store.rows(written.ids)
    column = store.table["embedding"].combine_chunks()
    dataset_rows = pa.array(rows, mask=rows < 0)
    index = ITEMS.arrow.get_field_index("embedding")
    table: pa.Table = written.table.set_column(
        index, ITEMS.arrow.field(index), column.take(dataset_rows)
    )
    return table
