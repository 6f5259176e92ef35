"""The table of item fields agrees with the record and the dataset schema. Items of requests."""

import dataclasses
from collections.abc import Mapping
from typing import get_args, get_origin, get_type_hints

import pytest

from base.errors import RequestError
from catalog.items import ID, ITEM_FIELDS, REQUIRED, Item, ItemField, check_item, one_or_several
from catalog.schema import ITEMS

NUMBERS = (int, float)


def python_type(annotation: object) -> tuple[type, bool]:
    """Return the type of an annotation, and whether the annotation also allows None."""
    origin = get_origin(annotation)
    if origin in (Mapping, tuple):
        return dict if origin is Mapping else tuple, False
    choices = get_args(annotation)
    (kind,) = [kind for kind in choices if kind is not type(None)] or [annotation]
    return kind, type(None) in choices


def test_the_record_has_the_fields_of_the_table_in_its_order():
    assert [field.name for field in dataclasses.fields(Item)] == [f.name for f in ITEM_FIELDS]


@pytest.mark.parametrize("field", ITEM_FIELDS, ids=lambda field: field.name)
def test_the_record_has_the_types_of_the_table(field: ItemField):
    kind, optional = python_type(get_type_hints(Item)[field.name])
    assert kind is field.type
    assert optional == (not field.required and field.type not in (dict, tuple))


def test_the_dataset_has_the_fields_of_the_table_and_a_vector():
    assert ITEMS.names == (*(field.name for field in ITEM_FIELDS), "embedding")
    limits = {c.name: (c.required, c.minimum, c.maximum) for c in ITEMS.columns}
    for field in ITEM_FIELDS:
        assert limits[field.name] == (field.required, field.minimum, field.maximum)


def test_only_numbers_have_limits_and_only_text_is_read_by_models():
    for field in ITEM_FIELDS:
        assert field.type in NUMBERS or field.minimum is field.maximum is None
        assert field.type in (str, dict) or field.text_position is None
        assert field.type in (str, tuple) or not field.distinct
        assert field.type is str or field.form is None
        assert field.type is str or not field.required


def test_each_position_of_the_item_text_is_taken_once():
    positions = [f.text_position for f in ITEM_FIELDS if f.text_position is not None]
    assert sorted(positions) == list(range(1, len(positions) + 1))


def test_only_required_fields_may_not_be_empty():
    check_item(Item("", "b"), "item", REQUIRED - {ID})
    check_item(Item("a", ""), "item", {ID})
    for item, field in ((Item("", "b"), "item_id"), (Item("a", " \t\n"), "title")):
        with pytest.raises(RequestError, match=f"^item.{field}: is empty; give a value$"):
            check_item(item, "item")


@pytest.mark.parametrize(
    "fields",
    [
        {"price": -1.0},
        {"rating": 0.0, "rating_count": 0},
        {"rating": 5.0, "rating_count": 2**63 - 1},
        {"description": "ü" * 49_989, "attributes": {"k": "x" * 8}},
        {"category": "x" * 49_998},
        {"categories": ("x" * 49_990, "y" * 8)},
        {"language": "gsw"},
    ],
    ids=["price", "least", "greatest", "characters", "category", "categories", "language"],
)
def test_values_at_their_limits_are_allowed(fields):
    check_item(Item("a", "b", **fields), "item")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"rating": 5.1}, "item.rating: is 5.1; give 0 to 5"),
        ({"rating_count": -1}, "item.rating_count: is -1; give at least 0"),
        ({"rating_count": 2**63}, "item.rating_count: is invalid; give a whole number of 64 bits"),
        ({"price": float("inf")}, "item.price: is invalid; give a finite number"),
        ({"brand": "\ud800"}, "item.brand: has a lone surrogate (half a character); remove it"),
        (
            {"description": "x" * 49_990, "attributes": {"k": "x" * 8}},
            "item: has 50,001 characters of text; give at most 50,000",
        ),
        (
            {"description": "x" * 49_990, "attributes": {"k": ("x", "y" * 7)}},
            "item: has 50,001 characters of text; give at most 50,000",
        ),
        (
            {"description": "x" * 49_990, "categories": ("x" * 5, "y" * 4)},
            "item: has 50,001 characters of text; give at most 50,000",
        ),
        ({"identifiers": ("x", " ")}, "item.identifiers[1]: is empty; give a value"),
        (
            {"category": "B", "categories": ("A", "B")},
            "item.category: is not the first of `categories`; give one of the two fields",
        ),
        (
            {"language": "en-GB"},
            "item.language: is invalid; give a language tag of two or three lower-case letters, "
            "such as en",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_item_out_of_its_limits_is_refused_by_field(fields, error):
    with pytest.raises(RequestError) as refused:
        check_item(Item("a", "b", **fields), "item")
    assert str(refused.value) == error


def test_the_category_is_the_first_of_the_categories():
    assert Item("a", "b", category="A").categories == ("A",)
    assert Item("a", "b", categories=("A", "B")).category == "A"
    several = Item("a", "b", categories=("A", "B"))
    assert several.changed({"category": "C"}).categories == ("C",)
    assert several.changed({"category": None}).categories == ()
    assert several.changed({"categories": ("D", "A")}).category == "D"
    assert several.changed({"categories": ()}).category is None
    assert several.changed({"price": 1.0}) == Item("a", "b", price=1.0, categories=("A", "B"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([""], ""),
        (["a", "a"], "a"),
        (["", "b", "a", "b"], ("b", "a")),
        (["", "b"], "b"),
    ],
)
def test_an_attribute_has_one_or_several_different_values(values, expected):
    assert one_or_several(values) == expected
