"""The text of an item that models read, and the normal form of queries."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.attribute_roles import ALL_READ, AttributeRoles
from catalog.items import ITEM_FIELDS, AttributeValue, Item, all_values
from catalog.text_forms import compose

# The fields that models read, in their order in the item text.
TEXT_FIELDS = tuple(
    name for _, name in sorted((f.text_position, f.name) for f in ITEM_FIELDS if f.text_position)
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Segment:
    """One part of an item's text."""

    name: str  # one of TEXT_FIELDS
    text: str  # never blank


def item_segments(item: Item) -> tuple[Segment, ...]:
    """Return the parts of an item's text in the order of `TEXT_FIELDS`.

    The most informative parts come first, because models cut long text. Blank parts are left out.
    Signs and fractions are written as in queries (`compose`).
    The brand is left out if the title contains it.
    """
    texts = {name: compose(field_text(item, name)).strip() for name in TEXT_FIELDS}
    if _names(item.title, texts["brand"]):
        texts["brand"] = ""
    return tuple(Segment(name, text) for name, text in texts.items() if text)


def item_text(item: Item, roles: AttributeRoles = ALL_READ) -> str:
    """Return the text of an item that models read: all segments of its readable attributes."""
    return ". ".join(segment.text for segment in item_segments(roles.readable(item)))


def normalise_query(query: str) -> str:
    """Return a query in normal form: composed, case-folded, white space collapsed."""
    return " ".join(fold_case(compose(query)).split())


def fold_case(text: str) -> str:
    """Return a text in NFKC and case-folded; texts that differ only in case get equal."""
    if text.isascii():
        return text.lower()
    # NFKC twice, because case folding can undo the first NFKC (Unicode 16, 3.13, definition D146).
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def field_text(item: Item, name: str) -> str:
    """Return the text of one of `TEXT_FIELDS`; "" if the item has no value.

    Attributes become `name value, name value`, sorted by name. Several values are joined by a comma
    and a space. Attributes without a value are left out.
    """
    value = getattr(item, name)
    return _attribute_text(value) if isinstance(value, Mapping) else value or ""


def _attribute_text(attributes: Mapping[str, AttributeValue]) -> str:
    pairs = sorted(
        (name.strip(), ", ".join(all_values(value)).strip()) for name, value in attributes.items()
    )
    return ", ".join(f"{name} {value}".strip() for name, value in pairs if value)


def _names(title: str, brand: str) -> bool:
    """Return whether the title contains all words of the brand, one directly after another."""
    words = _WORD.findall(normalise_query(brand))
    if not words:  # a brand without letters or digits, such as "+"
        return brand.strip() in title
    title_words = _WORD.findall(normalise_query(title))
    starts = range(len(title_words) - len(words) + 1)
    return any(title_words[start : start + len(words)] == words for start in starts)
