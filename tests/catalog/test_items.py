"""The table of item fields agrees with the record and the dataset schema."""

import dataclasses
from collections.abc import Mapping
from typing import get_args, get_origin, get_type_hints

import pytest

from catalog.items import ITEM_FIELDS, Item, ItemField
from catalog.schema import ITEMS

NUMBERS = (int, float)


def python_type(annotation: object) -> tuple[type, bool]:
    """Return the type of an annotation, and whether the annotation also allows None."""
    choices = get_args(annotation) if get_origin(annotation) is not Mapping else ()
    kinds = [kind for kind in choices if kind is not type(None)] or [annotation]
    (kind,) = kinds
    return dict if kind == Mapping[str, str] else kind, type(None) in choices


def test_the_record_has_the_fields_of_the_table_in_its_order():
    assert [field.name for field in dataclasses.fields(Item)] == [f.name for f in ITEM_FIELDS]


@pytest.mark.parametrize("field", ITEM_FIELDS, ids=lambda field: field.name)
def test_the_record_has_the_types_of_the_table(field: ItemField):
    kind, optional = python_type(get_type_hints(Item)[field.name])
    assert kind is field.type
    assert optional == (not field.required and field.type is not dict)


def test_the_dataset_has_the_fields_of_the_table_and_a_vector():
    assert ITEMS.names == (*(field.name for field in ITEM_FIELDS), "embedding")
    limits = {c.name: (c.required, c.minimum, c.maximum) for c in ITEMS.columns}
    for field in ITEM_FIELDS:
        assert limits[field.name] == (field.required, field.minimum, field.maximum)


def test_only_numbers_have_limits_and_only_text_is_read_by_models():
    for field in ITEM_FIELDS:
        assert field.type in NUMBERS or field.minimum is field.maximum is None
        assert field.type in (str, dict) or field.text_position is None
        assert field.type is str or not field.distinct
        assert field.type is str or not field.required


def test_each_position_of_the_item_text_is_taken_once():
    positions = [f.text_position for f in ITEM_FIELDS if f.text_position is not None]
    assert sorted(positions) == list(range(1, len(positions) + 1))
