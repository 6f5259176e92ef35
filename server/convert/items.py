"""Convert items between the contract's messages and the catalogue's records."""

import datetime
from typing import Any

from google.protobuf import field_mask_pb2

from base.errors import RequestError, check_names
from catalog.items import ITEM_FIELDS, Item, one_or_several
from server.convert.dates import date_message, date_record
from shortlist.v1 import item_pb2

_FIELDS = tuple(field.name for field in ITEM_FIELDS)
_REQUIRED = [field.name for field in ITEM_FIELDS if field.required]
_LISTS = [field.name for field in ITEM_FIELDS if field.type is tuple]
_DATES = [field.name for field in ITEM_FIELDS if field.type is datetime.date]


def item_fields(mask: field_mask_pb2.FieldMask) -> frozenset[str] | None:
    """Return the item fields that the mask `item_fields` of a request names (None: all fields).

    An empty mask and "*" name all fields.

    Raises:
        RequestError: a name in the mask is not a field of items.
    """
    check_names(mask.paths, "item_fields.paths", (*_FIELDS, "*"), "field of items")
    return None if not mask.paths or "*" in mask.paths else frozenset(mask.paths)


def item_message(item: Item, fields: frozenset[str] | None = None) -> item_pb2.Item:
    """Convert an item to a message with the given fields (None: all fields)."""
    values: dict[str, Any] = {}
    for name in _FIELDS if fields is None else fields:
        value = getattr(item, name)
        if value is not None:
            values[name] = date_message(value) if name in _DATES else value
    attributes = values.get("attributes", {})
    several = {name: texts for name, texts in attributes.items() if not isinstance(texts, str)}
    if several:
        values["attributes"] = {k: text for k, text in attributes.items() if k not in several}
        values["attribute_values"] = {
            name: item_pb2.AttributeValues(values=texts) for name, texts in several.items()
        }
    return item_pb2.Item(**values)


def item_record(message: item_pb2.Item, path: str) -> Item:
    """Convert a message to an item. The engine validates the item later.

    Args:
        message: The item in the request.
        path: The path of the message in the request, such as "inputs[2].item".

    Raises:
        RequestError: a date is incomplete or does not exist, or an attribute is given twice.
    """
    values: dict[str, Any] = dict.fromkeys(_REQUIRED, "")
    for field, value in message.ListFields():  # only the fields that are set
        values[field.name] = value
    for name in _DATES:
        if name in values:
            values[name] = date_record(values[name], f"{path}.{name}")
    for name in _LISTS:
        if name in values:
            values[name] = tuple(values[name])
    attributes: dict[str, Any] = dict(values.get("attributes", {}))
    for name, several in values.pop("attribute_values", {}).items():
        if name in attributes:
            raise RequestError(
                f"{path}.attribute_values", "has a name of `attributes`; give each name once"
            )
        if (value := one_or_several(several.values)) is not None:
            attributes[name] = value
    return Item(**{**values, "attributes": attributes})
