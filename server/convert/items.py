"""Convert items between the contract's messages and the catalogue's records."""

import datetime
import math
from typing import Any

from google.protobuf import field_mask_pb2

from catalog.items import ID, ITEM_FIELDS, Item, ItemField
from search.errors import RequestError
from server.convert.dates import date_message, date_record
from shortlist.v1 import item_pb2

MAX_ITEM_CHARACTERS = 50_000

_FIELDS = frozenset(field.name for field in ITEM_FIELDS)
_REQUIRED = [field.name for field in ITEM_FIELDS if field.required and field.name != ID]
_TEXTS = [field.name for field in ITEM_FIELDS if field.type is str]
_MAPS = [field.name for field in ITEM_FIELDS if field.type is dict]
_NUMBERS = [field for field in ITEM_FIELDS if field.type in (float, int)]
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


def item_record(message: item_pb2.Item, path: str, *, needs_id: bool) -> Item:
    """Return the item that a caller described.

    Args:
        message: The description.
        path: The message's path in the request, such as "inputs[2].item".
        needs_id: Whether an empty id is an error.

    Raises:
        RequestError: A field breaks a rule of the contract.
    """
    _check_item(message, path, needs_id=needs_id)
    values: dict[str, Any] = {ID: ""}
    for field, value in message.ListFields():  # the fields that have a value
        values[field.name] = value
    for name in _DATES:
        if name in values:
            values[name] = date_record(values[name], f"{path}.{name}")
    for name in _MAPS:
        if name in values:
            values[name] = dict(values[name])
    return Item(**values)


def _check_item(message: item_pb2.Item, path: str, *, needs_id: bool) -> None:
    if needs_id and not message.item_id:
        raise RequestError(f"{path}.{ID}", "must not be empty")
    for name in _REQUIRED:
        if not getattr(message, name).strip():
            raise RequestError(f"{path}.{name}", "must not be empty")
    texts = [getattr(message, name) for name in _TEXTS]
    texts += [text for name in _MAPS for pair in getattr(message, name).items() for text in pair]
    if sum(map(len, texts)) > MAX_ITEM_CHARACTERS:
        raise RequestError(path, f"has more than {MAX_ITEM_CHARACTERS:,} characters of text")
    for field in _NUMBERS:
        if message.HasField(field.name):  # type: ignore[arg-type]  # the stub lists the names
            _check_number(getattr(message, field.name), field, f"{path}.{field.name}")


def _check_number(number: int | float, field: ItemField, path: str) -> None:
    low = field.minimum if field.limits_in_requests else None
    high = field.maximum if field.limits_in_requests else None
    if low is not None and high is not None and not low <= number <= high:  # also refuses NaN
        raise RequestError(path, f"must be from {low:g} to {high:g}")
    if not math.isfinite(number):
        raise RequestError(path, "must be finite")
    if low is not None and number < low:
        raise RequestError(path, f"must be at least {low:g}" if low else "must not be negative")
    if high is not None and number > high:
        raise RequestError(path, f"must be at most {high:g}")
