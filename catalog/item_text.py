"""An item as text, and queries in the one form in which they are compared."""

import re
import unicodedata
from dataclasses import dataclass

from catalog.schema import Item

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
    title, brand = item.title, item.brand or ""
    parts = (
        ("title", title),
        ("brand", "" if _names(title, brand) else brand),
        ("category", item.category or ""),
        ("attributes", _attribute_text(item)),
        ("description", item.description or ""),
    )
    return tuple(Segment(name, text.strip()) for name, text in parts if text.strip())


def item_text(item: Item) -> str:
    """All of `item_segments` as one text."""
    return ". ".join(segment.text for segment in item_segments(item))


def normalise_query(query: str) -> str:
    """The form in which queries are compared: NFKC, case-folded, white space collapsed."""
    # Case folding can undo NFKC, hence twice (Unicode 16, section 3.13, definition D146).
    folded = unicodedata.normalize("NFKC", query).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _attribute_text(item: Item) -> str:
    pairs = sorted((name.strip(), value.strip()) for name, value in item.attributes.items())
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
