"""Shopify's export of products: a csv with one row for each variant and each image."""

import re
from collections.abc import Iterator
from typing import Any

from catalog.importing.cleaning.values import split
from catalog.importing.rules import (
    ATTRIBUTE,
    ATTRIBUTES,
    IMAGES,
    LIST_PRICE,
    Format,
    Row,
    Rule,
    TableRules,
    columns,
    rules,
)
from catalog.importing.sources import Files
from catalog.schema import ITEMS

_OPTIONS = range(1, 4)
_PICTURES = ("image_src", "product_image_url")
_VARIANT_PICTURES = ("variant_image", "variant_image_url")
_GOOGLE = "google_shopping_/_"  # begins columns for Google's feed
# A row with one of these cells is a variant. Other rows have only an image, or the title.
_VARIANT = ("variant_price", "price", "variant_sku", "sku", "option1_value")
# Cells of the variant. All other cells are the product's, which only the row with the title has.
_OF_VARIANT = (
    *("variant_", "option", "sku", "barcode", "price", "compare_at_price", "inventory_"),
    _GOOGLE + "mpn",
)
# Such as `Fabric (product.metafields.shopify.fabric)`, a column of the shop's own.
_OWN_FIELD = re.compile(r".*\(product\.metafields\..*\)")
_DEFAULT = ("Title", "Default Title")  # the option and value of a product without options


def _rows(files: Files) -> Iterator[Row]:
    products: dict[str, list[Row]] = {}
    for row in files.rows("products"):
        if handle := row.text("handle") or row.text("url_handle"):
            products.setdefault(handle, []).append(row)
        else:
            files.report.rows[files.table] += 1
            files.report.problem(
                files.table, row.place, "", "handle", "no handle", "give the product's handle"
            )
            files.report.cannot_read("")
    for handle, rows in products.items():
        yield from _product(handle, rows, files)


def _product(handle: str, rows: list[Row], files: Files) -> Iterator[Row]:
    """Yield one row for each variant of a product."""
    first = next((row for row in rows if row.text("title")), rows[0])
    published = first.text("published") or first.text("published_on_online_store")
    status = first.text("status").lower()
    if status not in ("", "active") or published.lower() == "false":
        for row in rows:
            files.leave_out(row, "a product that is not published")
        return
    shared = {k: v for k, v in first.cells.items() if not k.startswith(_OF_VARIANT)}
    fields = _own_fields(first, files)
    names = {n: first.text(f"option{n}_name") for n in _OPTIONS}
    pictures = [row.get(name) for row in rows for name in _PICTURES if row.get(name)]
    variants = [row for row in rows if any(row.get(name) for name in _VARIANT)] or [first]
    for row in variants:
        options: dict[str, Any] = {
            names[n] or f"option {n}": value
            for n in _OPTIONS
            if (value := row.text(f"option{n}_value")) and (names[n], value) != _DEFAULT
        }
        own = [row.get(name) for name in _VARIANT_PICTURES if row.get(name)]
        cells: dict[str, Any] = {
            "id": "/".join([handle, *options.values()]),
            "stock": _in_stock(row),
            ATTRIBUTES: fields | options,
            IMAGES: [*own, *pictures],
        }
        if len(variants) > 1:
            cells["group"] = handle
        yield Row(row.place, shared | {k: v for k, v in row.cells.items() if v is not None} | cells)


def _own_fields(row: Row, files: Files) -> dict[str, Any]:
    """Return the values of the shop's own columns; rich text, which is JSON, is left out."""
    return {
        files.column(key).partition(" (")[0]: split(row.text(key), ";")
        for key in row.cells
        if _OWN_FIELD.fullmatch(key) and not row.text(key).startswith("{")
    }


def _in_stock(row: Row) -> Any:
    """Return whether a variant can be bought; None if the export does not say."""
    quantity = row.get("variant_inventory_qty") or row.get("inventory_quantity")
    tracked = row.get("variant_inventory_tracker") or row.get("inventory_tracker")
    policy = row.text("variant_inventory_policy") or row.text("continue_selling_when_out_of_stock")
    if policy.lower() in ("continue", "true") or (quantity is not None and not tracked):
        return True
    return quantity


FORMAT = Format(
    "shopify",
    "Shopify products (CSV)",
    {
        "products": (
            columns("handle", "title", "variant_price"),
            columns("handle", "title", "body_(html)"),
            columns("url_handle", "title", "price"),
        )
    },
    (
        TableRules(
            ITEMS,
            (
                *rules(
                    item_id="id",
                    title="title",
                    description=("body_(html)", "description"),
                    brand="vendor",
                    group_id="group",
                    price=("variant_price", "price"),
                    in_stock="stock",
                    attributes=ATTRIBUTES,
                    images=IMAGES,
                ),
                Rule(LIST_PRICE, "variant_compare_at_price"),
                Rule(LIST_PRICE, "compare_at_price"),
                *(Rule("identifiers", k) for k in ("variant_sku", "sku")),
                *(Rule("identifiers", k) for k in ("variant_barcode", "barcode")),
                Rule("identifiers", _GOOGLE + "mpn"),
                Rule("categories", "product_category"),
                Rule("categories", "type"),
                Rule("attributes.tags", "tags", split=","),
                *(
                    Rule(ATTRIBUTE + name.replace("_", " "), _GOOGLE + name)
                    for name in ("gender", "age_group", "condition")
                ),
            ),
            _rows,
        ),
    ),
    reads=(
        "(url_)?handle|option[123]_(name|value)|status|published(_on_online_store)?|image_src"
        "|product_image_url|variant_image(_url)?|(variant_)?inventory_(tracker|qty|quantity|policy)"
        "|continue_selling_when_out_of_stock|" + _OWN_FIELD.pattern
    ),
)
