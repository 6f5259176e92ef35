"""The items of a dataset with what was written to them since it was made."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from base.errors import InputError
from catalog.schema import ITEMS, Item
from catalog.store import ItemStore
from live.log_reading import Change


@dataclass(frozen=True)
class Changed:
    """What became of a table of items.

    Attributes:
        items: Those that were not written, in their order, then those that were, in the order of
            their last writes.
        written: How many were.
        deleted: How many of the dataset's are no longer there.
        unknown: Ids of items of which only some fields were written, and nobody knows the others.
    """

    items: pa.Table
    written: int
    deleted: int
    unknown: tuple[str, ...]


def apply_changes(
    items: pa.Table, changes: Iterable[Change], others: ItemStore | None = None
) -> Changed:
    """Apply the writes of a log to the items of a dataset.

    Args:
        items: A table of `schema.ITEMS`, valid.
        changes: The latest state of each item that was written.
        others: Where items lie that the dataset has not, in case only some fields were written.

    Raises:
        InputError: no item is left.
    """
    store = ItemStore(items)
    gone, unknown = [], []
    written: dict[str, Item] = {}
    for change in changes:
        row = store.row(change.item_id)
        after = None
        if change.fields is not None:
            after = _after(change, store, others)
            if after is None:
                unknown.append(change.item_id)
        if row >= 0:
            gone.append(row)
        if after is not None:
            written[change.item_id] = after
    stay = np.ones(len(store), np.bool_)
    stay[gone] = False
    table = _with_embeddings(ItemStore.of(list(written.values())), store)
    table = pa.concat_tables([store.table.filter(pa.array(stay)), table])
    if not len(table):
        raise InputError("all items of the dataset were deleted; there is nothing to build from")
    deleted = len(gone) - sum(store.row(item_id) >= 0 for item_id in written)
    return Changed(table.combine_chunks(), len(written), deleted, tuple(unknown))


def _after(change: Change, *stores: ItemStore | None) -> Item | None:
    """The item after its last write; None where only some of its fields are known."""
    fields: dict[str, Any] = dict(change.fields or {})
    if change.whole:
        return Item(change.item_id, **fields)
    for store in stores:
        row = -1 if store is None else store.row(change.item_id)
        if store is not None and row >= 0:
            return replace(store.item(row), **fields)
    return None


def _with_embeddings(written: ItemStore, store: ItemStore) -> pa.Table:
    """Written items with the embeddings that they have in the dataset: writes have none."""
    rows = store.rows(written.ids)
    column = store.table["embedding"].combine_chunks()
    places = pa.array(rows, mask=rows < 0)
    index = ITEMS.arrow.get_field_index("embedding")
    table: pa.Table = written.table.set_column(index, ITEMS.arrow.field(index), column.take(places))
    return table
