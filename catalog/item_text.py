"""An item as text, and queries in the one form in which they are compared."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.items import ITEM_FIELDS, Item

# The fields that models read, in the order in which they stand in the text.
TEXT_FIELDS = tuple(
    name for _, name in sorted((f.text_position, f.name) for f in ITEM_FIELDS if f.text_position)
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Segment:
    """One part of an item's text."""

    name: str  # title, brand, category, attributes or description
    text: str  # never blank


def item_segments(item: Item) -> tuple[Segment, ...]:
    """The parts of an item's text, most telling first, for a reader with a limited budget.

    Args:
        item: the item. A brand that the title already names is left out; attributes become one
            segment `name value, name value`, sorted by name; blank parts are left out.

    Returns:
        Segments in the order title, brand, category, attributes, description.
    """
    texts = {name: field_text(item, name).strip() for name in TEXT_FIELDS}
    if _names(item.title, texts["brand"]):
        texts["brand"] = ""
    return tuple(Segment(name, text) for name, text in texts.items() if text)


def item_text(item: Item) -> str:
    """All of `item_segments` as one text."""
    return ". ".join(segment.text for segment in item_segments(item))


def normalise_query(query: str) -> str:
    """The form in which queries are compared: NFKC, case-folded, white space collapsed."""
    # Case folding can undo NFKC, hence twice (Unicode 16, section 3.13, definition D146).
    folded = unicodedata.normalize("NFKC", query).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def field_text(item: Item, name: str) -> str:
    """The text of one of `TEXT_FIELDS`; "" without a value.

    Attributes become `name value, name value`, sorted by name; those without a value are left out.
    """
    value = getattr(item, name)
    return _attribute_text(value) if isinstance(value, Mapping) else value or ""


def _attribute_text(attributes: Mapping[str, str]) -> str:
    pairs = sorted((name.strip(), value.strip()) for name, value in attributes.items())
    return ", ".join(f"{name} {value}".strip() for name, value in pairs if value)


def _names(title: str, brand: str) -> bool:
    """Whether the brand's words stand in the title, in a row and whole."""
    words = _WORD.findall(normalise_query(brand))
    if not words:  # a brand of signs alone, such as "+"
        return brand.strip() in title
    among = _WORD.findall(normalise_query(title))
    return any(
        among[start : start + len(words)] == words for start in range(len(among) - len(words) + 1)
    )
