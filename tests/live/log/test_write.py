"""Writes validate themselves, and their fields have one form."""

import pytest

from base.errors import RequestError
from catalog.items import Item
from live.log.write import Write
from tests.refusals.all import WRITES
from tests.refusals.refusal import Refusal


@pytest.mark.parametrize("refusal", WRITES, ids=lambda refusal: refusal.error)
def test_a_write_out_of_its_limits_is_refused_by_field(refusal: Refusal):
    with pytest.raises(RequestError) as refused:
        refusal.python()
    assert str(refused.value) == refusal.error


def test_limits_themselves_are_allowed():
    Write("r" * 64, "i", {"title": "x" * 49_999})
    Write("r", "i", {"title": "t", "rating": 5, "rating_count": 2**63 - 1, "price": -1.0})


def test_an_upsert_writes_the_whole_item_or_the_fields_of_its_mask():
    item = Item("i", "Saw", brand="Acme", price=2.0)
    whole = Write("r", "i", {"title": "Saw", "brand": "Acme", "price": 2.0})
    assert Write.upsert("r", item) == whole
    part = Write("r", "i", {"price": 2.0, "category": None, "attributes": {}}, whole=False)
    assert Write.upsert("r", item, ["price", "category", "price", "attributes"]) == part


def test_equivalent_writes_are_equal():
    same = {"title": "Saw", "price": -0.0, "rating": 4, "brand": None, "attributes": None}
    write = Write("r", "i", same)
    assert write == Write("r", "i", {"title": "Saw", "price": 0.0, "rating": 4.0})
    assert str(write.fields) == "{'title': 'Saw', 'price': 0.0, 'rating': 4.0}"
