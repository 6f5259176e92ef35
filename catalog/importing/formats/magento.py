"""Magento's (Adobe Commerce's) export of products: a csv with attributes in one column."""

import re
from collections.abc import Iterator
from typing import Any

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

_MORE = "additional_attributes"
_CHILDREN = "configurable_variations"
_DATES = ("special_price_from_date", "special_price_to_date")
_ENTRY = re.compile(r',(?="?[A-Za-z][A-Za-z0-9_]*=)')  # the comma before the next `name=`
_AMERICAN_DATE = re.compile(r"(\d\d?)/(\d\d?)/(\d\d|\d{4})\b.*")
_ROOT = "Default Category/"  # the category that contains all others
# Cells that a variant takes over from its configurable product if its own are blank.
_SHARED = (
    *("description", "short_description", "categories", "base_image", "additional_images"),
    "manufacturer",
)
# Attributes that are fields, by the column that a rule reads.
_FIELDS = {"manufacturer": "manufacturer", "brand": "manufacturer"} | dict.fromkeys(
    ("gtin", "ean", "upc", "barcode", "isbn", "mpn"), "codes"
)


def _rows(files: Files) -> Iterator[Row]:
    rows = []
    for row in files.rows("products"):
        if row.get("store_view_code"):
            files.leave_out(row, "a text of another store view")
        else:
            rows.append(row)
    skus = {row.text("sku") for row in rows}
    parents = {sku: row for row in rows for sku in _children(row) if sku in skus}
    for row in rows:
        parent = parents.get(row.text("sku"))
        if any(m.text("product_online") not in ("", "1") for m in (row, parent) if m is not None):
            files.leave_out(row, "a product that is not online")
        elif any(sku in skus for sku in _children(row)):
            files.leave_out(row, "a product whose variants are items")
        elif parent is None and row.text("visibility") == "Not Visible Individually":
            files.leave_out(row, "a product that is not visible")
        else:
            yield _complete(row, parent)


def _children(row: Row) -> list[str]:
    """Return the ids of a configurable product's variants."""
    variants = split(row.text(_CHILDREN), "|")
    return [sku for variant in variants if (sku := _entries(variant).get("sku"))]


def _entries(text: str) -> dict[str, str]:
    """Return the entries of `color=Red,size=S`, each with or without quotes around it."""
    entries = (entry.strip() for entry in _ENTRY.split(text))
    bare = (e[1:-1].replace('""', '"') if e[:1] == e[-1:] == '"' else e for e in entries)
    pairs = (entry.partition("=") for entry in bare)
    return {name: value for name, sign, value in pairs if sign and value}


def _complete(row: Row, parent: Row | None) -> Row:
    own = _flat(row)
    cells = own
    if parent is not None:
        above = _flat(parent)
        cells = {k: above[k] for k in _SHARED if k in above} | own
        cells["group"] = parent.get("sku")
        cells[ATTRIBUTES] = above[ATTRIBUTES] | own[ATTRIBUTES]
    return Row(row.place, cells)


def _flat(row: Row) -> dict[str, Any]:
    """Return the cells, with entries of `additional_attributes` as fields or attributes."""
    entries = _entries(row.text(_MORE))
    cells = dict(row.cells)
    cells["codes"] = [value for name, value in entries.items() if _FIELDS.get(name) == "codes"]
    for name, value in entries.items():
        if _FIELDS.get(name) == "manufacturer":
            cells.setdefault("manufacturer", value)
    cells[ATTRIBUTES] = {
        name.replace("_", " "): split(value, "|")
        for name, value in entries.items()
        if name not in _FIELDS
    }
    for name in _DATES:
        if match := _AMERICAN_DATE.fullmatch(row.text(name)):
            year = int(match[3]) if len(match[3]) == 4 else 2000 + int(match[3])
            cells[name] = f"{year}-{int(match[1]):02}-{int(match[2]):02}"
    if "categories" in cells:
        paths = (path.strip() for path in re.split("[,|]", row.text("categories")))
        cells["categories"] = [path.removeprefix(_ROOT) for path in paths if path + "/" != _ROOT]
    return cells


FORMAT = Format(
    "magento",
    "Magento or Adobe Commerce products (CSV)",
    {
        "products": (
            columns("sku", "name", "product_type", "attribute_set_code"),
            columns("sku", "name", _MORE),
        )
    },
    (
        TableRules(
            ITEMS,
            (
                *rules(
                    item_id="sku",
                    title="name",
                    description=("short_description", "description"),
                    brand="manufacturer",
                    group_id="group",
                    price="price",
                    sale_price="special_price",
                    sale_start=_DATES[0],
                    sale_end=_DATES[1],
                    in_stock=("is_in_stock", "qty"),
                    attributes=ATTRIBUTES,
                    identifiers="codes",
                ),
                Rule("categories", "categories", levels="/"),
                Rule(IMAGES, "base_image"),
                Rule(IMAGES, "additional_images", split=","),
            ),
            _rows,
        ),
    ),
    reads=f"{_MORE}|{_CHILDREN}|store_view_code|product_online|visibility",
)
