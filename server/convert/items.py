"""Between the contract's items and those of the catalogue, both ways."""

import math

from google.protobuf import field_mask_pb2

from catalog.schema import Item
from search.errors import RequestError
from server.convert.dates import date_message, date_record
from shortlist.v1 import item_pb2

MAX_ITEM_CHARACTERS = 50_000


_FIELDS = frozenset(item_pb2.Item.DESCRIPTOR.fields_by_name)


def item_fields(mask: field_mask_pb2.FieldMask, path: str) -> frozenset[str] | None:
    """Returns the fields of items that a mask names, None for all; raises RequestError.

    Args:
        mask: The mask; empty names all.
        path: Where it stands in the request.
    """
    for place, name in enumerate(mask.paths):
        if name != "*" and name not in _FIELDS:
            raise RequestError(
                f"{path}.paths[{place}]",
                "is no field of an item; name whole fields, such as title or attributes",
            )
    return None if not mask.paths or "*" in mask.paths else frozenset(mask.paths)


def item_message(item: Item, fields: frozenset[str] | None = None) -> item_pb2.Item:
    """Returns the message of an item, with some of its fields or all."""
    message = _whole_message(item)
    for name in _FIELDS - fields if fields is not None else ():
        message.ClearField(name)  # type: ignore[arg-type]  # the stub names the fields one by one
    return message


def _whole_message(item: Item) -> item_pb2.Item:
    return item_pb2.Item(
        item_id=item.item_id,
        title=item.title,
        description=item.description or "",
        brand=item.brand or "",
        category=item.category or "",
        group_id=item.group_id or "",
        price=item.price,
        rating=item.rating,
        rating_count=item.rating_count,
        released=date_message(item.released),
        in_stock=item.in_stock,
        image_url=item.image_url or "",
        attributes=item.attributes,
    )


def item_record(message: item_pb2.Item, path: str, *, needs_id: bool) -> Item:
    """Returns the item that a caller described.

    Args:
        message: The description.
        path: Where the message stands in the request, such as "inputs[2].item".
        needs_id: Whether an empty id is an error.

    Raises:
        RequestError: A field breaks a rule of the contract.
    """
    _check_item(message, path, needs_id=needs_id)
    return Item(
        item_id=message.item_id,
        title=message.title,
        description=message.description or None,
        brand=message.brand or None,
        category=message.category or None,
        group_id=message.group_id or None,
        price=message.price if message.HasField("price") else None,
        rating=message.rating if message.HasField("rating") else None,
        rating_count=message.rating_count if message.HasField("rating_count") else None,
        released=date_record(message.released, f"{path}.released")
        if message.HasField("released")
        else None,
        in_stock=message.in_stock if message.HasField("in_stock") else None,
        image_url=message.image_url or None,
        attributes=dict(message.attributes),
    )


def _check_item(message: item_pb2.Item, path: str, *, needs_id: bool) -> None:
    if needs_id and not message.item_id:
        raise RequestError(f"{path}.item_id", "must not be empty")
    if not message.title.strip():
        raise RequestError(f"{path}.title", "must not be empty")
    texts = [value for field, value in message.ListFields() if field.type == field.TYPE_STRING] + [
        text for pair in message.attributes.items() for text in pair
    ]
    if sum(map(len, texts)) > MAX_ITEM_CHARACTERS:
        raise RequestError(path, f"has more than {MAX_ITEM_CHARACTERS:,} characters of text")
    if not math.isfinite(message.price):
        raise RequestError(f"{path}.price", "must be finite")
    if not 0 <= message.rating <= 5:  # also refuses NaN
        raise RequestError(f"{path}.rating", "must be from 0 to 5")
    if message.rating_count < 0:
        raise RequestError(f"{path}.rating_count", "must not be negative")
