import math
from typing import Any

import pytest

from catalog.items import ID, Item
from search.errors import RequestError
from search.validation import REQUIRED, check_item


def refusal(change: dict[str, Any], required: frozenset[str] = REQUIRED) -> RequestError:
    item = Item(**({"item_id": "a", "title": "b"} | change))
    with pytest.raises(RequestError) as refused:
        check_item(item, "item", required)
    return refused.value


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"price": -math.inf}, "must be finite"),
        ({"rating": math.inf}, "must be from 0 to 5"),
        ({"rating": 5.5}, "must be from 0 to 5"),
        ({"rating_count": -1}, "must not be negative"),
    ],
)
def test_a_number_outside_of_its_limits_is_told_the_limits(
    change: dict[str, float], problem: str
) -> None:
    assert refusal(change).problem == problem


def test_a_price_below_zero_is_no_error() -> None:
    check_item(Item("a", "b", price=-1.0), "item")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"item_id": ""}, "item.item_id"),
        ({"title": ""}, "item.title"),
        ({"title": " \t\n"}, "item.title"),
        ({"price": math.nan}, "item.price"),
        ({"price": math.inf}, "item.price"),
        ({"rating": math.nan}, "item.rating"),
        ({"rating": 5.1}, "item.rating"),
        ({"rating": -0.1}, "item.rating"),
        ({"rating_count": -1}, "item.rating_count"),
        ({"description": "x" * 50_001}, "item"),
        ({"attributes": {"k": "x" * 50_000}}, "item"),
    ],
)
def test_an_item_outside_of_the_rules_is_refused(change: dict[str, object], field: str) -> None:
    assert refusal(change).field == field


def test_only_required_fields_may_not_be_empty() -> None:
    check_item(Item("", "b"), "item", REQUIRED - {ID})
    check_item(Item("a", ""), "item", {ID})


def test_an_item_may_have_fifty_thousand_characters() -> None:
    check_item(Item("a", "b", description="ü" * 49_989, attributes={"k": "x" * 8}), "item")
