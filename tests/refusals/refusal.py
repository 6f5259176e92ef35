"""A request that breaks one limit of the contract, as a Python object and as a message."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from catalog.items import Item
from shortlist.v1 import item_pb2

COLUMNS = (
    "item_id, title, description, brand, category, group_id, price, rating, rating_count, "
    "released, in_stock, image_url, identifiers, categories, url, currency, sale_price, language"
)


@dataclass(frozen=True)
class Refusal:
    """A request that breaks one limit."""

    error: str  # the path of the field, and what is wrong
    python: Callable[[], object]  # makes the request of a Python caller, which raises the error
    # The request of a gRPC caller. None: only Python callers can break the limit, because the
    # server coerces the value or a message cannot have it.
    message: Message | None


def item_message(item: Item) -> item_pb2.Item:
    """Return a message of an item, which may be invalid."""
    values: dict[str, Any] = {
        name: value for name, value in vars(item).items() if value is not None
    }
    return item_pb2.Item(**values)
