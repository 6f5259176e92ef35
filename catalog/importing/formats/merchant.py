"""Google Merchant feeds: tab-separated text, and XML (RSS 2.0 or Atom) with the namespace `g`."""

from collections.abc import Iterator
from typing import Any

from catalog.importing.cleaning.values import split, texts
from catalog.importing.rules import (
    ATTRIBUTE,
    ATTRIBUTES,
    IMAGES,
    SALE_END,
    SALE_START,
    Format,
    Row,
    Rule,
    TableRules,
    attribute_rules,
    columns,
    rules,
)
from catalog.importing.sources import Files
from catalog.schema import ITEMS

_DETAILS = "product_detail"
_SALE_DATES = "sale_price_effective_date"
_TAXONOMY = "google_product_category"
_STRUCTURED = ("structured_title", "structured_description")  # texts that a model has written


def _rows(files: Files) -> Iterator[Row]:
    for row in files.rows("products"):
        cells: dict[str, Any] = {}
        if details := dict(_details(row.get(_DETAILS))):
            cells[ATTRIBUTES] = details
        start, slash, end = row.text(_SALE_DATES).partition("/")
        if start or slash:
            cells |= {SALE_START: start, SALE_END: end}
        # A number is an entry of Google's taxonomy, whose names the feed does not have.
        if row.text(_TAXONOMY).isdigit():
            cells[_TAXONOMY] = None
        # In XML, these can occur as an element of RSS or Atom and as a Merchant element, which is
        # the first.
        for name in ("id", "title", "description", "link"):
            if isinstance(several := row.get(name), list):
                cells[name] = several[0]
        for name in _STRUCTURED:
            if isinstance(text := row.get(name), str):  # `trained_algorithmic_media:"A title"`
                cells[name] = {"content": text.partition(":")[2].strip(' "')}
        yield row.with_cells(cells)


def _details(value: Any) -> Iterator[tuple[str, str]]:
    """Yield names and values of `product_detail`: elements, or texts `section:name:value`."""
    for detail in value if isinstance(value, list) else [value]:
        if isinstance(detail, dict):
            yield str(detail.get("attribute_name", "")), str(detail.get("attribute_value", ""))
        elif detail:
            for text in (part for whole in texts(detail) for part in split(whole, ",")):
                name, colon, end = text.partition(":")
                section_name, second, rest = end.partition(":")
                if colon:
                    yield (section_name, rest) if second else (name, end)


FORMAT = Format(
    "merchant",
    "Google Merchant feed (TSV or XML)",
    {
        "products": (
            columns("id", "title", "link", "price"),
            columns("id", "title", "link", "image_link"),
            columns("id", "title", "image_link", "availability"),
            columns("id", "title", "price", "availability"),
            columns("id", "title", _TAXONOMY),
            columns("id", "title"),
            columns("id", _STRUCTURED[0]),
        )
    },
    (
        TableRules(
            ITEMS,
            (
                *rules(
                    item_id="id",
                    title=("title", "structured_title.content"),
                    # An Atom feed has the description as its summary or content.
                    description=(
                        *("description", "structured_description.content", "summary", "content"),
                    ),
                    brand="brand",
                    group_id="item_group_id",
                    price="price",
                    sale_price="sale_price",
                    sale_start=SALE_START,
                    sale_end=SALE_END,
                    in_stock="availability",
                    url=("link", "canonical_link"),
                    attributes=ATTRIBUTES,
                ),
                Rule("description", "product_highlight"),
                Rule("identifiers", "gtin", split=","),
                Rule("identifiers", "mpn"),
                Rule("categories", "product_type"),
                Rule("categories", _TAXONOMY),
                Rule(IMAGES, "image_link"),
                Rule(IMAGES, "additional_image_link", split=","),
                Rule(IMAGES, "lifestyle_image_link"),
                Rule(ATTRIBUTE + "color", "color", split="/"),
                Rule(ATTRIBUTE + "material", "material", split="/"),
                *attribute_rules("condition", "size", "pattern", "gender", "age_group"),
                *attribute_rules("size_type", "size_system", "energy_efficiency_class"),
                *attribute_rules("multipack", "is_bundle", "unit_pricing_measure"),
                *attribute_rules("product_length", "product_width", "product_height"),
                *attribute_rules("product_weight"),
                Rule("language", "content_language"),
            ),
            _rows,
        ),
    ),
    reads=f"{_DETAILS}|{_SALE_DATES}",
)
