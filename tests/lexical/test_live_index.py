"""A lexical index while it is updated, also by updates that fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.items import Item
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.live_index import LiveLexicalIndex


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveLexicalIndex]:
    store = ItemStore.of([Item("0", "red lamp"), Item("1", "desk")])
    opened = LexicalIndex.build(store, tmp_path / "lexical")
    index = LiveLexicalIndex(tmp_path / "lexical", opened, tmp_path)
    yield index
    index.close()


def test_updates_add_and_remove_rows_and_leave_earlier_indexes_unchanged(live):
    first = live.update({2: Item("2", "green lamp")}, [], 3)
    second = live.update({3: Item("3", "blue lamp")}, [0], 4)
    assert sorted(first.search("lamp", 9)[0].tolist()) == [0, 2]
    assert sorted(second.search("lamp", 9)[0].tolist()) == [2, 3]


def test_rows_of_a_failed_update_are_not_returned(live):
    lamps = {row: Item(str(row), "lamp") for row in range(2, 6)}
    # The caller repeats this update with other rows, because another step of the caller failed.
    live.update(lamps, [], 6)
    fewer = live.update({2: lamps[2]}, [], 3)
    assert sorted(fewer.search("lamp", 9)[0].tolist()) == [0, 2]
    more = live.update({3: Item("3", "chair"), 4: lamps[4]}, [], 5)
    assert sorted(more.search("lamp", 9)[0].tolist()) == [0, 2, 4]


def test_rows_of_an_update_that_failed_half_way_are_not_returned(live):
    lamps = {row: Item(str(row), "lamp") for row in (2, 3, -1)}
    # The update adds rows 2 and 3 before it fails, but does not commit them.
    with pytest.raises(ValueError, match="-1"):
        live.update(lamps, [], 5)
    after = live.update({2: lamps[2]}, [], 3)
    assert sorted(after.search("lamp", 9)[0].tolist()) == [0, 2]


def test_added_items_are_indexed_with_the_config_of_the_index(tmp_path):
    config = LexicalConfig(field_weights={"title": 1.0, "brand": 0.0})
    opened = LexicalIndex.build(ItemStore.of([Item("0", "lamp")]), tmp_path / "lexical", config)
    index = LiveLexicalIndex(tmp_path / "lexical", opened, tmp_path)
    after = index.update({1: Item("1", "desk", brand="Zebra")}, [], 2)
    assert after.schema.config == config
    assert after.search("desk", 9)[0].tolist() == [1]
    assert after.search("zebra", 9)[0].tolist() == []
    index.close()
