"""Convert columns of several texts, and complete the category of items from their categories."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.schema import TEXTS


def texts_from_json(values: Sequence[Any]) -> pa.Array:
    """Convert decoded JSON values: lists of texts or whole numbers, or one text or whole number.

    Blank and repeated texts are left out.

    Raises:
        TypeError: a value has another type.
    """
    return pa.array([None if value is None else _texts(value) for value in values], TEXTS)


def texts_from_arrow(values: pa.Array) -> pa.Array:
    """Convert a column of texts, of whole numbers, or of lists of these; see `texts_from_json`."""
    return texts_from_json(values.to_pylist())


def first_texts(lists: pa.Array) -> pa.Array:
    """Return the first text of each list; null for null."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    starts = np.cumsum(lengths) - lengths
    return pc.list_flatten(lists).take(pa.array(starts, mask=lengths == 0))


def complete_categories(items: pa.Table) -> pa.Table:
    """Return the items with the form of categories that `ItemStore` needs.

    An item without a category gets the first of its categories. Items with a single category lose
    their list of categories.
    """
    lists = items["categories"].combine_chunks()
    if lists.null_count == len(lists):
        return items
    several = pc.greater(pc.list_value_length(lists), 1)
    new = {
        "category": pc.coalesce(items["category"].combine_chunks(), first_texts(lists)),
        "categories": pc.if_else(several, lists, pa.scalar(None, TEXTS)),
    }
    for name, column in new.items():
        items = items.set_column(items.column_names.index(name), name, column)
    return items


def _texts(value: Any) -> list[str] | None:
    texts = dict.fromkeys(_text(v) for v in (value if isinstance(value, list) else [value]))
    return [text for text in texts if text.strip()] or None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if type(value) not in (str, int):  # codes may be whole numbers, but true is no text
        raise TypeError(f"no text of {type(value).__name__}")
    return str(value)
