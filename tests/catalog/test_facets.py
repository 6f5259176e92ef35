"""Facets, compared with counting by hand."""

import datetime
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import RequestError
from catalog import facets
from catalog.facets import Facet
from catalog.filters import Interval
from catalog.items import Item
from catalog.store import ItemStore
from tests.refusals.searches import invalid_facets

EVERYTHING = slice(None)
DAY = datetime.date(2024, 2, 29)


def store_of(*items: dict) -> ItemStore:
    return ItemStore.of([Item(str(row), "t", **values) for row, values in enumerate(items)])


def brands(*names) -> ItemStore:
    return store_of(*({"brand": name} for name in names))


@given(
    st.lists(st.none() | st.sampled_from(["", "a", "b", "c", "d"]), max_size=20),
    st.integers(1, 5),
    st.data(),
)
def test_values_are_counted_as_by_hand(names, limit, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names))))
    mask = mask.astype(np.bool_)
    counts = facets.count(Facet("brand", limit), ((brands(*names), mask),))
    expected = Counter(name for name, counted in zip(names, mask, strict=True) if counted and name)
    assert counts.known_count == expected.total()
    assert len(counts.values) == min(limit, len(expected))
    assert all(expected[name] == n for name, n in counts.values)
    numbers = [n for _, n in counts.values]
    assert numbers == sorted(expected.values(), reverse=True)[:limit]


def test_rows_and_their_mask_give_the_same_counts():
    store = brands("a", "b", "a", None, "c")
    mask = np.array([True, False, True, True, True])
    by_rows = facets.count(Facet("brand"), ((store, np.array([4, 0, 3, 2], np.int32)),))
    assert by_rows == facets.count(Facet("brand"), ((store, mask),))
    assert by_rows.values == (("a", 2), ("c", 1))


def test_values_with_equal_counts_keep_the_order_of_the_catalogue():
    counts = facets.count(Facet("brand", 2), ((brands("z", "b", "a", "b", "z"), EVERYTHING),))
    assert counts.values == (("z", 2), ("b", 2))


def test_flags_are_counted_by_value():
    store = store_of({"in_stock": True}, {"in_stock": False}, {}, {"in_stock": False})
    counts = facets.count(Facet("in_stock"), ((store, EVERYTHING),))
    assert (counts.values, counts.known_count) == (((False, 2), (True, 1)), 3)
    only = facets.count(Facet("in_stock"), ((store, np.array([0], np.int32)),))
    assert only.values == ((True, 1),)


def test_numbers_give_the_smallest_the_largest_and_counts_by_interval():
    store = store_of(*({"price": price} for price in (5.0, 10.0, 10.0, 20.0)), {})
    cheap, dear = Interval(below=10.0), Interval(at_least=10.0)
    counts = facets.count(Facet("price", intervals=(cheap, dear)), ((store, EVERYTHING),))
    assert (counts.smallest, counts.largest, counts.known_count) == (5.0, 20.0, 4)
    assert counts.interval_counts == (1, 3)


def test_dates_are_returned_as_dates():
    later = DAY + datetime.timedelta(days=2)
    store = store_of({"released": DAY}, {"released": later}, {})
    counts = facets.count(
        Facet("released", intervals=(Interval(above=DAY),)), ((store, EVERYTHING),)
    )
    assert (counts.smallest, counts.largest, counts.interval_counts) == (DAY, later, (1,))


def test_attributes_are_counted_as_text_and_in_intervals_as_numbers():
    store = store_of(*({"attributes": {"watt": w}} for w in ("65", "65", "100", "many")), {})
    facet = Facet("attributes.watt", intervals=(Interval(at_most=65), Interval(above=65)))
    counts = facets.count(facet, ((store, EVERYTHING),))
    assert (counts.values[0], counts.known_count, counts.interval_counts) == (("65", 2), 4, (2, 1))
    assert (counts.smallest, counts.largest) == (65.0, 100.0)


def test_an_item_counts_once_for_each_of_its_values_and_intervals():
    store = ItemStore.of(
        [
            Item("0", "t", categories=("A", "B"), attributes={"watt": ("5", "60", "many")}),
            Item("1", "t", categories=("B",), attributes={"watt": "60"}),
        ]
    )
    facet = Facet("attributes.watt", intervals=(Interval(at_most=60), Interval(above=60)))
    counts = facets.count(facet, ((store, EVERYTHING),))
    assert counts.values == (("60", 2), ("5", 1), ("many", 1))
    assert (counts.known_count, counts.interval_counts) == (2, (2, 0))
    assert (counts.smallest, counts.largest) == (5.0, 60.0)
    for rows, values in (([1, 0], (("B", 2), ("A", 1))), ([1], (("B", 1),))):
        part = ((store, np.array(rows, np.int32)),)
        assert facets.count(Facet("categories"), part).values == values


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, (("A > B > C", 2), ("A > B > D", 1), ("E", 1), ("A > B", 1))),
        (1, (("A", 3), ("E", 1))),
        (2, (("A > B", 3), ("E", 1))),
        (3, (("A > B > C", 2), ("A > B > D", 1), ("E", 1), ("A > B", 1))),
    ],
)
@pytest.mark.parametrize("selection", [EVERYTHING, np.arange(4), np.ones(4, np.bool_)], ids=str)
def test_categories_are_counted_by_level_once_an_item(level, expected, selection):
    paths = [("A > B > C", "A > B > D", "E"), ("A > B > C",), ("A > B",), ()]
    store = store_of(*({"categories": categories} for categories in paths))
    counts = facets.count(Facet("categories", level=level), ((store, selection),))
    assert (counts.values, counts.known_count) == (expected, 3)


@pytest.mark.parametrize("field", ["brand", "price", "released", "in_stock", "attributes.x"])
def test_an_empty_selection_has_no_counts(field):
    counts = facets.count(Facet(field), ((store_of({"brand": "a"}), np.array([], np.int32)),))
    assert (counts.known_count, counts.values, counts.smallest) == (0, (), None)


@pytest.mark.parametrize(
    ("error", "facet"), [(error, facet) for error, facet, _ in invalid_facets()], ids=str
)
def test_an_invalid_facet_is_refused_by_its_path(error, facet):
    with pytest.raises(RequestError) as refused:
        facets.check(facet, "facets[1]")
    assert str(refused.value) == error
