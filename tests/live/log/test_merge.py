"""The items of a dataset after the writes of a log."""

import pyarrow as pa
import pytest

from base.errors import InputError
from catalog.items import Item
from catalog.schema import ITEMS
from catalog.store import ItemStore
from live.log.merge import apply_changes
from live.log.reading import Change

GIVEN = [
    Item("a", "A", brand="B", price=1.0, attributes={"colour": "red"}),
    Item("b", "B", price=2.0),
    Item("c", "C"),
]


def table(*vectors: list[float] | None) -> pa.Table:
    found = ItemStore.of(GIVEN).table
    place = ITEMS.arrow.get_field_index("embedding")
    column = pa.array(vectors or [None] * 3, ITEMS.arrow.field(place).type)
    return found.set_column(place, ITEMS.arrow.field(place), column)


def items(found: pa.Table) -> list[Item]:
    store = ItemStore(found)
    return [store.item(row) for row in range(len(store))]


def test_whole_and_partial_writes_and_deletions_are_applied():
    changes = [
        Change("a", 3, {"price": None, "brand": "C"}, whole=False),
        Change("b", 4, None, whole=True),
        Change("nobody", 5, None, whole=True),
        Change("d", 6, {"title": "D", "attributes": {"size": "1"}}, whole=True),
    ]
    found = apply_changes(table(), changes)
    assert items(found.items) == [
        GIVEN[2],
        Item("a", "A", brand="C", attributes={"colour": "red"}),
        Item("d", "D", attributes={"size": "1"}),
    ]
    assert (found.written, found.deleted, found.unknown) == (2, 1, ())


def test_a_partial_write_changes_the_item_of_its_row():
    found = apply_changes(table(), [Change("c", 1, {"price": 3.0}, whole=False)])
    assert items(found.items) == [*GIVEN[:2], Item("c", "C", price=3.0)]


def test_no_writes_change_nothing():
    found = apply_changes(table([1.0], None, [3.0]), [])
    assert found.items.equals(table([1.0], None, [3.0]).combine_chunks())


def test_a_written_item_keeps_its_embedding_and_a_new_one_has_none():
    changes = [
        Change("c", 1, {"title": "X"}, whole=True),
        Change("d", 2, {"title": "D"}, whole=True),
        Change("a", 3, {"price": 5.0}, whole=False),
    ]
    found = apply_changes(table([1.0], [2.0], [3.0]), changes).items
    assert found["item_id"].to_pylist() == ["b", "c", "d", "a"]
    assert found["embedding"].to_pylist() == [[2.0], [3.0], None, [1.0]]


def test_a_partial_write_to_an_item_that_the_dataset_lacks_needs_another_source():
    changes = [
        Change("e", 1, {"price": 5.0}, whole=False),
        Change("f", 2, {"price": 6.0}, whole=False),
        Change("a", 3, {"price": 7.0}, whole=False),
    ]
    others = ItemStore.of([Item("e", "E", brand="B"), Item("a", "not this one")])
    found = apply_changes(table(), changes, others)
    assert items(found.items)[2:] == [
        Item("e", "E", brand="B", price=5.0),
        Item("a", "A", brand="B", price=7.0, attributes={"colour": "red"}),
    ]
    assert found.unknown == ("f",)


def test_a_dataset_without_remaining_items_is_refused():
    with pytest.raises(InputError, match="all items of the dataset were deleted"):
        apply_changes(table(), [Change(i, n, None, True) for n, i in enumerate("abc", 1)])
