"""Numbers for text values: equal values have equal numbers in all parts of a catalogue."""

import numpy as np
import pytest

from catalog.catalogue import MAX_CODES, Catalogue
from catalog.items import Item
from catalog.store import ItemStore

BASE = [
    Item("a", "t", category="A > B > C", brand="x", attributes={"colour": "red"}),
    Item("b", "t", category="A > B > D", brand="y"),
    Item("c", "t", category="A", brand="x", attributes={"colour": ""}),
    Item("d", "t"),
]
ADDED = [
    Item("e", "t", category="A > B", brand="z", attributes={"colour": "red"}),
    Item("f", "t", category="E > B > C", brand="y", attributes={"colour": "blue"}),
]


@pytest.fixture
def catalogue():
    return Catalogue.of(ItemStore.of(BASE)).with_items(ADDED)


def values(item, field, level):
    if field == "colour":
        return item.attributes.get("colour") or None
    value = getattr(item, field)
    return " > ".join(value.split(" > ")[:level]) if value and level else value


@pytest.mark.parametrize(
    ("field", "level"),
    [("brand", 0), ("category", 0), ("category", 1), ("category", 2), ("colour", 0)],
)
def test_equal_values_have_equal_numbers_and_others_do_not(catalogue, field, level):
    name = "attributes.colour" if field == "colour" else field
    codes = catalogue.codes(name, level)
    rows = np.array([5, 0, 4, 3, 1, 2], np.int32)
    expected = [values((BASE + ADDED)[row], field, level) for row in rows.tolist()]
    numbers = codes.at(rows).tolist()
    assert [number < 0 for number in numbers] == [value is None for value in expected]
    pairs = set(zip(numbers, expected, strict=True))
    assert len(pairs) == len(set(numbers)) == len(set(expected))
    assert max(numbers) < codes.size


def test_codes_of_a_limited_number_of_fields_are_cached(catalogue):
    first = catalogue.codes("brand")
    assert catalogue.codes("brand") is first
    for number in range(MAX_CODES):
        catalogue.codes(f"attributes.{number}")
    assert catalogue.codes("brand") is not first


def test_of_several_values_the_first_counts():
    colours = [("red", "blue"), "blue", "red", ("blue", "red"), None]
    items = [
        Item(str(n), "t", attributes={"colour": colour} if colour else {})
        for n, colour in enumerate(colours)
    ]
    codes = Catalogue.of(ItemStore.of(items)).codes("attributes.colour")
    first, second, *_ = numbers = codes.at(np.arange(5, dtype=np.int32)).tolist()
    assert numbers == [first, second, first, second, -1]
    assert first != second
