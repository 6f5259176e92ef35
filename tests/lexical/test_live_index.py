"""A lexical index while it is updated, also on a full disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from base.errors import InputError, StorageError
from catalog.items import Item
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.live_index import LiveLexicalIndex
from tests.small_disk import small_disk


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


def test_a_full_disk_fails_an_update_and_another_live_index_has_all_rows(tmp_path):
    built = LexicalIndex.build(ItemStore.of([Item("0", "red lamp")]), tmp_path / "lexical")
    rows = {1: Item("1", "green lamp")}
    with small_disk(tmp_path / "disk", "2m") as disk:
        scratch = disk.path / "scratch"
        live = LiveLexicalIndex(tmp_path / "lexical", built, scratch)
        before = live.update(rows, [], 2)
        disk.fill()
        with pytest.raises(StorageError, match=f"^{scratch}: .*[Nn]o space left"):
            live.update({2: Item("2", "blue lamp")}, [], 3)
        assert before.search("lamp", 9)[0].tolist() == [0, 1]
        live.close()
        assert list(scratch.iterdir()) == []
        disk.free()
        again = LiveLexicalIndex(tmp_path / "lexical", built, scratch)
        after = again.update({**rows, 2: Item("2", "blue lamp")}, [], 3)
        assert sorted(after.search("lamp", 9)[0].tolist()) == [0, 1, 2]
        again.close()


def test_a_live_index_that_cannot_be_opened_names_its_directory_and_leaves_nothing(tmp_path):
    built = LexicalIndex.build(ItemStore.of([Item("0", "lamp")]), tmp_path / "lexical")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=f"^{tmp_path / 'file'}: "):
        LiveLexicalIndex(tmp_path / "lexical", built, tmp_path / "file")
    (tmp_path / "lexical" / "meta.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be opened"):
        LiveLexicalIndex(tmp_path / "lexical", built, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_added_items_are_indexed_with_the_config_of_the_index(tmp_path):
    config = LexicalConfig(field_weights={"title": 1.0, "brand": 0.0})
    opened = LexicalIndex.build(ItemStore.of([Item("0", "lamp")]), tmp_path / "lexical", config)
    index = LiveLexicalIndex(tmp_path / "lexical", opened, tmp_path)
    after = index.update({1: Item("1", "desk", brand="Zebra")}, [], 2)
    assert after.schema.config == config
    assert after.search("desk", 9)[0].tolist() == [1]
    assert after.search("zebra", 9)[0].tolist() == []
    index.close()
