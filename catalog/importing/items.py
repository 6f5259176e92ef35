"""Complete the values of an item: prices, images, attributes, categories and codes."""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from catalog.importing.rules import (
    ATTRIBUTES,
    IMAGES,
    LIST_PRICE,
    SALE_END,
    SALE_START,
)

# The fields of an item that follow from other fields of rules.
_COMPUTED = {
    "price": ("price", "sale_price", "currency"),
    "sale_price": ("price", "sale_price", "currency"),
    LIST_PRICE: ("price", "sale_price", "currency"),
    SALE_START: ("sale_price",),
    SALE_END: ("sale_price",),
    IMAGES: ("image_url", ATTRIBUTES),
    "category": ("categories",),
}
MORE_IMAGES = "more images"  # the attribute of images after the first; no model reads it

LeaveOut = Callable[[str], None]  # counts a value that is left out, by the reason


def fields_of(target: str) -> tuple[str, ...]:
    """Return the fields of an item that depend on the field that a rule fills."""
    target = target.partition(".")[0]  # of `attributes.NAME`
    return _COMPUTED.get(target, (target,))


def finish_item(row: dict[str, Any], now: datetime.datetime, leave_out: LeaveOut) -> dict[str, Any]:
    """Return the columns of an item from the values that rules read.

    Args:
        row: The values by field; changed. None is a date of a sale that cannot be read.
        now: The time of the import, which decides whether a sale is on.
        leave_out: Counts values that are left out.
    """
    _finish_prices(row, now, leave_out)
    images = list(dict.fromkeys([*filter(None, [row.get("image_url")]), *row.pop(IMAGES, [])]))
    attributes: Mapping[str, list[str]] = row.pop(ATTRIBUTES, {})
    entries = [(k, text) for k, texts in attributes.items() for text in dict.fromkeys(texts)]
    if images:
        row["image_url"] = images[0]
        entries += [(MORE_IMAGES, image) for image in images[1:]]
    if entries:
        row[ATTRIBUTES] = entries
    paths = [*filter(None, [row.pop("category", None)]), *row.get("categories", [])]
    if paths:
        row["category"], row["categories"] = paths[0], list(dict.fromkeys(paths))
    if codes := list(dict.fromkeys(filter(None, row.get("identifiers", [])))):
        row["identifiers"] = codes
    return row


def _finish_prices(row: dict[str, Any], now: datetime.datetime, leave_out: LeaveOut) -> None:
    """Choose the price and the sale price; a price without any other is no sale."""
    unread = any(row.get(name, now) is None for name in (SALE_START, SALE_END))
    start, end, listed = (row.pop(name, None) for name in (SALE_START, SALE_END, LIST_PRICE))
    price, sale = row.get("price"), row.pop("sale_price", None)
    if sale is not None and unread:
        leave_out("a sale price whose dates cannot be read")
        sale = None
    elif sale is not None and not (start or now) <= now <= (end or now):
        leave_out("a sale price outside of its dates")
        sale = None
    if price is None:
        price, sale = (listed, sale) if listed is not None else (sale, None)
    elif sale is None and listed is not None and listed > price:
        price, sale = listed, price
    if sale is not None and price is not None and not 0 < sale < price:
        leave_out("a sale price that is 0 or not below the price")
        sale = None
    row["price"], row["sale_price"] = price, sale
