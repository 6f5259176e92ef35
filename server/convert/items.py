"""Convert items between the contract's messages and the catalogue's records."""

import datetime
from typing import Any

from google.protobuf import field_mask_pb2

from catalog.items import ITEM_FIELDS, Item
from search.errors import RequestError
from server.convert.dates import date_message, date_record
from shortlist.v1 import item_pb2

_FIELDS = frozenset(field.name for field in ITEM_FIELDS)
_REQUIRED = [field.name for field in ITEM_FIELDS if field.required]
_MAPS = [field.name for field in ITEM_FIELDS if field.type is dict]
_DATES = [field.name for field in ITEM_FIELDS if field.type is datetime.date]


def item_fields(mask: field_mask_pb2.FieldMask, path: str) -> frozenset[str] | None:
    """Return the fields of items that a mask names, None for all; raise RequestError.

    Args:
        mask: The mask; an empty one names all fields.
        path: The mask's path in the request.
    """
    for index, name in enumerate(mask.paths):
        if name != "*" and name not in _FIELDS:
            raise RequestError(
                f"{path}.paths[{index}]",
                "is no field of an item; name whole fields, such as title or attributes",
            )
    return None if not mask.paths or "*" in mask.paths else frozenset(mask.paths)


def item_message(item: Item, fields: frozenset[str] | None = None) -> item_pb2.Item:
    """Return the message of an item, with some of its fields or all."""
    values: dict[str, Any] = {}
    for name in _FIELDS if fields is None else fields:
        value = getattr(item, name)
        if value is not None:
            values[name] = date_message(value) if name in _DATES else value
    return item_pb2.Item(**values)


def item_record(message: item_pb2.Item, path: str) -> Item:
    """Return the item that a caller described, not yet validated.

    Args:
        message: The description.
        path: The message's path in the request, such as "inputs[2].item".

    Raises:
        RequestError: A date does not exist.
    """
    values: dict[str, Any] = dict.fromkeys(_REQUIRED, "")
    for field, value in message.ListFields():  # the fields that have a value
        values[field.name] = value
    for name in _DATES:
        if name in values:
            values[name] = date_record(values[name], f"{path}.{name}")
    for name in _MAPS:
        if name in values:
            values[name] = dict(values[name])
    return Item(**values)
