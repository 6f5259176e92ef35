"""Writes that break a limit."""

import datetime
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from catalog.items import Item
from live.log.write import Write
from shortlist.v1 import catalog_service_pb2
from tests.refusals.refusal import COLUMNS, Refusal, item_message

WRITTEN = COLUMNS.removeprefix("item_id, ").replace("image_url", "image_url, attributes")


def write_refusals() -> Iterator[Refusal]:
    def refusal(error: str, request_id: str, item: Item, *update_mask: str):
        asked = catalog_service_pb2.UpsertItemsRequest(
            request_id=request_id,
            item=item_message(item),
            update_mask=FieldMask(paths=update_mask),
        )
        return Refusal(error, partial(Write.upsert, request_id, item, update_mask), asked)

    def deletion(error: str, request_id: str, item_id: str):
        asked = catalog_service_pb2.DeleteItemsRequest(request_id=request_id, item_id=item_id)
        return Refusal(error, partial(Write, request_id, item_id, None), asked)

    def fields(error: str, values: dict[str, Any], request_id: str = "r", item_id: str = "i"):
        return Refusal(error, partial(Write, request_id, item_id, {"title": "t"} | values), None)

    lamp = Item("lamp", "A lamp")
    no_id, long_id = "has 0 characters; give 1 to 64", "has 65 characters; give 1 to 64"
    yield refusal(f"request_id: {no_id}", "", lamp)
    yield refusal(f"request_id: {long_id}", "r" * 65, lamp)
    yield refusal("item.item_id: is empty; give a value", "r", Item("", "A lamp"))
    yield refusal("item.title: is empty; give a value", "r", Item("lamp", " "))
    yield refusal("item.title: is empty; give a value", "r", Item("lamp", ""), "price", "title")
    yield refusal("item.rating: is 6.0; give 0 to 5", "r", Item("lamp", "A lamp", rating=6.0))
    yield refusal("item.rating: is 6.0; give 0 to 5", "r", Item("lamp", "", rating=6.0), "rating")
    language = "a language tag of two or three lower-case letters, such as en"
    for tag in ("EN", "en-GB", "e", "english", "en "):
        error = f"item.language: is invalid; give {language}"
        yield refusal(error, "r", Item("lamp", "A lamp", language=tag))
    for field in ("identifiers", "categories"):
        blank = Item("lamp", "A lamp", **{field: ("x", " ")})
        yield refusal(f"item.{field}[1]: is empty; give a value", "r", blank)
    error = "item.category: is not the first of `categories`; give one of the two fields"
    yield refusal(error, "r", Item("lamp", "A lamp", category="B", categories=("A", "B")))
    for name in ("colour", "item_id", "*", "attributes.colour", "Price", ""):
        error = f"update_mask.paths[2]: names no field of items; give {WRITTEN}"
        yield refusal(error, "r", lamp, "price", "price", name)
    yield deletion("item_id: is empty; give a value", "r", "")
    yield deletion(f"request_id: {no_id}", "", "i")
    yield deletion(f"request_id: {long_id}", "r" * 65, "i")
    surrogate = "has a lone surrogate (half a character); remove it"
    yield fields(f"request_id: {surrogate}", {}, request_id="\ud800")
    yield fields(f"item.item_id: {surrogate}", {}, item_id="\ud800")
    yield fields(f"item.brand: {surrogate}", {"brand": "\ud800"})
    yield fields(f"item.attributes: {surrogate}", {"attributes": {"\ud800": "a"}})
    yield fields(f"item.item_id: names no field of items; give {WRITTEN}", {"item_id": "i"})
    yield fields(f"item.embedding: names no field of items; give {WRITTEN}", {"embedding": [0.5]})
    for field, kind, values in (
        ("title", "text", [b"t"]),
        ("price", "a finite number", ["1", True, math.nan, 10**400]),
        ("rating_count", "a whole number of 64 bits", [1.0, True, 2**63]),
        ("in_stock", "true or false", [1]),
        ("released", "a date", ["2024-01-31", datetime.datetime(2024, 1, 31)]),
        (
            "attributes",
            "a map from text to one or several texts",
            [{"a": 1}, {"a": None}, {"a": ("b", 1)}, [("a", "b")]],
        ),
        ("identifiers", "a list of texts", ["a", ["a"], (1,)]),
    ):
        for value in values:
            yield fields(f"item.{field}: is invalid; give {kind}", {field: value})
