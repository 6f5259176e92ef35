"""The quality report of imported tables: what is missing, and what looks wrong."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.dataset.problems import count, quote
from catalog.dataset.validation import MARKUP, true_rows
from catalog.importing.cleaning.values import is_gtin
from catalog.items import MAX_ITEM_CHARACTERS

_TEXTS = ("title", "description", "brand", "category")
# UTF-8 that was read as Windows-1252 (`Ã¤`, `â€™`), and characters that a decoder replaced.
_MOJIBAKE = "Ã[\u0080-\u00bf\u0152-\u0178\u2013-\u2122]|â€|Â[\u00a0-\u00bf]|\ufffd"
_MAYBE_GTIN = re.compile(r"\d{12,14}")
_FEW = 0.5  # a warning says if fewer items have a value
_EXPECTED = ("description", "brand", "category", "price")
_MANY_TITLES = 0.05  # a warning says if more items share a title outside of their group


def item_quality(items: pa.Table) -> dict[str, Any]:
    """Return the quality of the table `items`.

    Returns:
        `filled`: for each column, the share of items with a value. `attributes`: for each
        attribute, the number of items with a value. `warnings`: what looks wrong, as texts.
    """
    total = len(items)
    filled = {
        name: round(1 - items[name].null_count / total, 4)
        for name in items.column_names
        if items[name].null_count < total
    }
    warnings = [
        f"{name}: only {filled.get(name, 0):.0%} of the items have a value"
        for name in _EXPECTED
        if filled.get(name, 0) < _FEW
    ]
    for name in _TEXTS:
        warnings += _matches(items, name, MARKUP, "look like HTML")
        warnings += _matches(items, name, _MOJIBAKE, "look like text in another encoding")
    warnings += [*_categories(items), *_titles(items), *_codes(items), *_lengths(items)]
    return {"filled": filled, "attributes": attribute_counts(items), "warnings": warnings}


def attribute_counts(items: pa.Table) -> Mapping[str, int]:
    """Return for each attribute, by name, the number of items with a value."""
    attributes = items["attributes"].combine_chunks()
    offsets = np.asarray(attributes.offsets)
    pairs = pa.table(
        {
            "name": attributes.keys[offsets[0] : offsets[-1]],
            "row": np.repeat(np.arange(len(attributes)), np.diff(offsets)),
        }
    )
    counted = pairs.group_by("name").aggregate([("row", "count_distinct")]).sort_by("name")
    return dict(zip(*(column.to_pylist() for column in counted.columns), strict=True))


def _matches(items: pa.Table, name: str, pattern: str, what: str) -> list[str]:
    rows = true_rows(pc.match_substring_regex(items[name], pattern))
    if not len(rows):
        return []
    example = quote(items[name][int(rows[0])].as_py())
    return [f"{name}: {count(len(rows), 'value')} {what}, such as {example}"]


def _categories(items: pa.Table) -> list[str]:
    known = items["category"].drop_null()
    different = pc.unique(known)
    if len(known) and len(different) == 1 and len(items) > 1:
        return [f"category: all items have the same category, {quote(different[0].as_py())}"]
    if len(known) and not pc.any(pc.match_substring(different, " > ")).as_py():
        return [
            f"category: all {len(different):,} categories have one level; the mapping of the "
            "column may need the sign between levels"
        ]
    return []


def _titles(items: pa.Table) -> list[str]:
    """Warn if many items share a title without being variants of one product."""
    product = pc.coalesce(items["group_id"], items["item_id"])
    products = pa.table({"title": items["title"], "product": product})
    by_title = products.group_by("title").aggregate([("product", "count_distinct")])
    shared = by_title.filter(pc.greater(by_title["product_count_distinct"], 1))
    if pc.sum(shared["product_count_distinct"], min_count=0).as_py() <= _MANY_TITLES * len(items):
        return []
    example = quote(shared["title"][0].as_py())
    return [f"title: {count(len(shared), 'title')} of several products, such as {example}"]


def _codes(items: pa.Table) -> list[str]:
    codes = pc.list_flatten(items["identifiers"].combine_chunks()).to_pylist()
    wrong = [code for code in codes if _MAYBE_GTIN.fullmatch(code) and not is_gtin(code)]
    if not wrong:
        return []
    return [
        f"identifiers: {count(len(wrong), 'code')} of 12 to 14 digits with a wrong check digit, "
        f"such as {quote(wrong[0])}"
    ]


def _lengths(items: pa.Table) -> list[str]:
    long = true_rows(pc.greater(pc.utf8_length(items["description"]), MAX_ITEM_CHARACTERS))
    if not len(long):
        return []
    return [
        f"description: {count(len(long), 'text')} of more than {MAX_ITEM_CHARACTERS:,} characters; "
        "a server refuses to write such items later"
    ]
