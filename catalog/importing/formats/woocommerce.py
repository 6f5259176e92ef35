"""WooCommerce's export of products: a csv in which variations name their parent product."""

import re
from collections.abc import Iterator
from typing import Any

from catalog.importing.cleaning.html_text import plain_text
from catalog.importing.cleaning.values import split
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
from catalog.schema import ITEMS

_NAME = re.compile(r"attribute_(\d+)_name")
# Cells of a product that its variations do not take over if their own cells are blank.
_OWN = ("id", "sku", "type", "gtin", "sale_price", "regular_price", "date_sale", "stock", "parent")
_TEXTS = ("description", "short_description")


def _rows(files: Files) -> Iterator[Row]:
    rows = list(files.rows("products"))
    by_reference = {key: row for row in rows for key in _references(row)}
    parents = {_reference(row.text("parent")) for row in rows} - {""}
    for row in rows:
        parent = by_reference.get(_reference(row.text("parent")))
        grouped = parent is not None and _type(row) == "variation"
        cells = {**(_shared(parent) if parent is not None and grouped else {}), **row.cells}
        if any(_is_hidden(member) for member in (row, parent) if member is not None):
            files.leave_out(row, "a product that is not published or is hidden")
        elif _type(row) == "variable" and parents & set(_references(row)):
            files.leave_out(row, "a product whose variations are items")
        else:
            attributes = _attributes(row)
            if parent is not None and grouped:
                attributes = _attributes(parent) | attributes
                cells["group"] = parent.text("id") or parent.text("sku")
            # The export writes line ends as a backslash and an n.
            texts = {k: str(cells[k]).replace("\\n", "\n") for k in _TEXTS if k in cells}
            yield Row(row.place, cells | texts | {ATTRIBUTES: attributes})


def _type(row: Row) -> str:
    """Return the kind of a product, without `virtual` and `downloadable`."""
    return row.text("type").partition(",")[0].strip().lower()


def _references(row: Row) -> list[str]:
    """Return the texts by which a variation names this product as its parent."""
    texts = {"id": f"id:{row.text('id')}", "sku": row.text("sku")}
    return [_reference(text) for name, text in texts.items() if row.text(name)]


def _reference(parent: str) -> str:
    return plain_text(parent).lower()


def _is_hidden(row: Row) -> bool:
    return (
        row.text("published") in ("0", "-1")
        or row.text("visibility_in_catalog").lower() == "hidden"
    )


def _shared(parent: Row) -> dict[str, Any]:
    return {name: cell for name, cell in parent.cells.items() if not name.startswith(_OWN)}


def _attributes(row: Row) -> dict[str, list[str]]:
    """Return the values of the columns `Attribute 1 value(s)` by `Attribute 1 name`, and so on."""
    numbers = (match[1] for name in row.cells if (match := _NAME.fullmatch(name)))
    return {
        row.text(f"attribute_{n}_name"): split(row.text(f"attribute_{n}_value(s)"), ",")
        for n in numbers
    }


FORMAT = Format(
    "woocommerce",
    "WooCommerce products (CSV)",
    {
        "products": (
            columns("type", "sku", "name", "regular_price"),
            columns("id", "type", "name", "categories"),
        )
    },
    (
        TableRules(
            ITEMS,
            (
                *rules(
                    item_id=("id", "sku"),
                    title="name",
                    description=("short_description", "description"),
                    brand=("brands", "brand"),
                    group_id="group",
                    price="regular_price",
                    sale_price="sale_price",
                    sale_start="date_sale_price_starts",
                    sale_end="date_sale_price_ends",
                    in_stock=("in_stock?", "stock"),
                    attributes=ATTRIBUTES,
                    identifiers=("sku", "gtin,_upc,_ean,_or_isbn"),
                ),
                Rule("categories", "categories", split=",", levels=">"),
                Rule("attributes.tags", "tags", split=","),
                Rule(IMAGES, "images", split=","),
            ),
            _rows,
        ),
    ),
    reads=r"type|published|visibility_in_catalog|parent|attribute_\d+_(name|value\(s\))",
)
