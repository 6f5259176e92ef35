"""The roles of attributes, which a dataset names and a bundle keeps."""

import numpy as np
import pytest

from base.errors import InputError, RequestError
from catalog.attribute_roles import ALL_READ, AttributeRoles
from catalog.catalogue import Catalogue
from catalog.item_text import item_text
from catalog.items import Item
from catalog.store import ItemStore

ROLES = AttributeRoles(frozenset({"margin"}), frozenset({"note"}))
ITEM = Item("a", "Saw", attributes={"colour": "red", "margin": "3", "note": "ask Ann"})


def test_models_read_only_the_other_attributes():
    assert item_text(ITEM, ROLES) == "Saw. colour red"
    assert item_text(ITEM) == "Saw. colour red, margin 3, note ask Ann"
    assert ROLES.readable(Item("a", "Saw")) == Item("a", "Saw")


def test_a_field_that_is_stored_only_is_refused():
    ROLES.check_field("attributes.margin", "filter.equals.field")
    ROLES.check_field("attributes.colour", "filter.equals.field")
    with pytest.raises(RequestError) as refused:
        ROLES.check_field("attributes.note", "filter.equals.field")
    assert str(refused.value) == (
        "filter.equals.field: is stored only; give a field that is not in `stored_only`"
    )


def test_a_store_keeps_its_roles_through_files_writes_and_compaction(tmp_path):
    store = ItemStore.of([ITEM, Item("b", "Drill")], ROLES)
    store.write(tmp_path / "items.parquet")
    catalogue = Catalogue.of(ItemStore.read(tmp_path / "items.parquet"))
    assert catalogue.roles == ROLES
    catalogue = catalogue.with_items([Item("c", "Lamp")]).with_numbers({"price": {0: 1.0}})
    catalogue = catalogue.without([1])
    assert (catalogue.roles, catalogue.compacted().roles) == (ROLES, ROLES)
    assert [catalogue.compacted().item(row).item_id for row in range(2)] == ["a", "c"]


def test_a_store_without_roles_has_none():
    store = ItemStore.concatenate((ItemStore.of([ITEM]), np.array([True])))
    assert store.roles == ALL_READ


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"other": []}', b'{"filter_only": [1]}', b'{"stored_only": 5}']
)
def test_damaged_roles_are_refused(text):
    [key] = ROLES.metadata
    table = ItemStore.of([ITEM]).table.replace_schema_metadata({key: text})
    with pytest.raises(InputError, match="the roles of attributes in the metadata are damaged"):
        ItemStore(table)
