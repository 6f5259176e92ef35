"""Sort keys: how they are parsed, and the order that they make."""

import datetime

import numpy as np
import pytest

from base.errors import RequestError
from catalog.catalogue import Catalogue
from catalog.items import Item
from catalog.store import ItemStore
from search.ranking.sorting import SortKey, sort_keys, sorted_positions

DAY = datetime.date(2024, 1, 1)
ITEMS = [
    Item("a", "a", price=3.0, rating_count=5, rating=2.0, attributes={"weight": "10"}),
    Item("b", "b", price=None, rating_count=7, in_stock=False, attributes={"weight": "9.5"}),
    Item("c", "c", price=1.0, rating_count=5, rating=4.0, attributes={"weight": "heavy"}),
    Item("d", "d", price=3.0, in_stock=True, released=DAY),
    Item("e", "e", price=2.0, released=DAY + datetime.timedelta(1), attributes={"weight": "-1"}),
]


def in_order(order_by: str, ids: str = "abcde") -> str:
    catalogue = Catalogue.of(ItemStore.of(ITEMS[:3])).with_items(ITEMS[3:])
    rows = catalogue.rows(list(ids))
    positions = sorted_positions(sort_keys(order_by, "order_by"), catalogue, rows)
    return "".join(ids[position] for position in positions)


@pytest.mark.parametrize(
    ("order_by", "ids"),
    [
        ("price", "ceadb"),
        ("price asc", "ceadb"),
        ("  price   desc ", "adecb"),
        ("released desc", "edabc"),
        ("in_stock desc", "dbace"),
        ("popularity desc", "bcade"),
        ("popularity", "acbde"),
        ("price desc, rating_count", "adecb"),
        ("rating_count, price desc", "acbde"),
        ("attributes.weight", "ebacd"),
        ("attributes.weight desc", "abecd"),
        ("attributes.no such name", "abcde"),
    ],
)
def test_items_without_a_value_come_last_in_both_directions(order_by, ids):
    assert in_order(order_by) == ids


def test_items_with_equal_values_keep_their_order():
    assert in_order("price", "dabce") == "cedab"
    assert in_order("price desc", "dabce") == "daecb"


def test_large_whole_numbers_are_compared_exactly():
    items = [Item(str(n), "t", rating_count=2**40 + n) for n in (2, 0, 1)]
    rows = np.arange(3, dtype=np.int32)
    keys = sort_keys("rating_count", "order_by")
    assert sorted_positions(keys, Catalogue.of(ItemStore.of(items)), rows).tolist() == [1, 2, 0]


def test_keys_are_parsed():
    assert sort_keys("", "order_by") == ()
    assert sort_keys("attributes.Screen Size desc,price", "order_by") == (
        SortKey("attributes.Screen Size", True),
        SortKey("price", False),
    )
    with pytest.raises(RequestError, match="order_by: names no field"):
        sort_keys("colour", "order_by")
