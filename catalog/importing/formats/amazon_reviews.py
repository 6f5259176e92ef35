"""Amazon Reviews 2023: metadata of products, and reviews, as JSON lines."""

import json
from collections.abc import Iterator
from typing import Any

from catalog.importing.cleaning.values import texts
from catalog.importing.rules import (
    ATTRIBUTES,
    IMAGES,
    Format,
    Row,
    Rule,
    TableRules,
    columns,
    rules,
)
from catalog.importing.sources import Files
from catalog.schema import EVENTS, ITEMS


def _products(files: Files) -> Iterator[Row]:
    for row in files.rows("products"):
        path = [row.text("main_category"), *texts(row.get("categories"))]
        price = row.get("price")
        if isinstance(price, str):
            price = price.removeprefix("from ").strip("—- ") or None
        cells = {
            "categories": [" > ".join(dict.fromkeys(filter(None, path)))],
            "price": price,
            ATTRIBUTES: _details(row.get("details")),
            IMAGES: list(_images(row.get("images"))),
        }
        yield row.with_cells(cells)


def _details(details: Any) -> dict[str, Any]:
    """Return the details of a product, which the parquet files have as JSON text."""
    if isinstance(details, str):
        try:
            details = json.loads(details)
        except (ValueError, RecursionError):
            return {}
    return details if isinstance(details, dict) else {}


def _images(images: Any) -> Iterator[Any]:
    """Yield the address of the largest form of each image."""
    if isinstance(images, dict):  # lists by form, in the parquet files
        forms = (images.get(form) for form in ("hi_res", "large"))
        lists = [form if isinstance(form, list) else [] for form in forms]
        yield from (large or small for large, small in zip(*lists, strict=False))
    for image in images if isinstance(images, list) else ():
        if isinstance(image, dict):
            yield image.get("hi_res") or image.get("large")


def _purchases(files: Files) -> Iterator[Row]:
    for row in files.rows("reviews"):
        if row.text("verified_purchase").lower() == "true":
            yield row.with_cells({"type": "purchase"})
        else:
            files.leave_out(row, "a review without a verified purchase")


FORMAT = Format(
    "amazon-reviews",
    "Amazon Reviews 2023 (JSON lines)",
    {
        "products": (columns("parent_asin", "title", "average_rating"),),
        "reviews": (columns("parent_asin", "user_id", "verified_purchase"),),
    },
    (
        TableRules(
            ITEMS,
            (
                *rules(
                    item_id="parent_asin",
                    title="title",
                    description=("description", "features"),
                    brand="store",
                    price="price",
                    rating="average_rating",
                    rating_count="rating_number",
                    attributes=ATTRIBUTES,
                    images=IMAGES,
                ),
                Rule("categories", "categories", levels=">"),
            ),
            _products,
        ),
        TableRules(
            EVENTS,
            rules(time="timestamp", item_id="parent_asin", type="type", user_id="user_id"),
            _purchases,
        ),
    ),
    reads="main_category|details|verified_purchase",
)
