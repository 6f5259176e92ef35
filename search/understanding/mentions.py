"""Whether an item has something that a query excludes, apart from saying that it has none of it.

"No added sugar", "sugar free", "wireless" and 无糖 do not mention sugar or wires in this sense.
"""

import re
from collections.abc import Callable, Iterable

from catalog.item_text import field_text, normalise_query
from catalog.items import Item
from search.understanding.interpretation import Exclusion
from search.understanding.phrases import word_set

_FIELDS = ("title", "brand", "category", "attributes")
_WORD = re.compile(r"[^\W_]+")
_NEGATIONS = word_set(
    """no not non without zero 0 free ohne kein keine keinen sans sin senza sem zonder geen без"""
)
_SKIPPED = word_set("added any of artificial")
_NEGATIONS_AFTER = word_set("free less no none 0 false frei nein non keine")
_NEAR = 3  # number of words before a mention that may negate it
_HAN = re.compile(r"[\u3400-\u9fff]")
_HAN_NEGATION = re.compile(r"(?:[无無零0免]|不含有?|不加|不添加|[无無零]添加|没有|沒有|不带|不帶)$")


def has_excluded(
    item: Item, exclusions: Iterable[Exclusion], terms_of: Callable[[str], Iterable[str]]
) -> bool:
    """Return whether an item mentions one of the excluded things, other than to deny it.

    Args:
        item: The item. Its description does not count, because it mentions other products.
        exclusions: What a query excludes.
        terms_of: Returns the terms of a text in the lexical index.
    """
    texts = [normalise_query(field_text(item, name)) for name in _FIELDS]
    return any(
        _mentions(text, exclusion.excluded, terms_of)
        for text in texts
        if text
        for exclusion in exclusions
    )


def _mentions(text: str, excluded: str, terms_of: Callable[[str], Iterable[str]]) -> bool:
    if _HAN.search(excluded):
        return any(
            not _HAN_NEGATION.search(text[: match.start()])
            for match in re.finditer(re.escape(excluded), text)
        )
    wanted = set(terms_of(excluded))
    if not wanted or not wanted <= set(terms_of(text)):
        return False
    words = _WORD.findall(text)
    denied = {
        term
        for position, word in enumerate(words)
        if (terms := wanted.intersection(terms_of(word))) and _is_denied(words, position)
        for term in terms
    }
    return not denied


def _is_denied(words: list[str], position: int) -> bool:
    """Return whether the words around a word say that the item has none of it."""
    if position + 1 < len(words) and words[position + 1] in _NEGATIONS_AFTER:
        return True
    for word in reversed(words[max(0, position - _NEAR) : position]):
        if word in _NEGATIONS:
            return True
        if word not in _SKIPPED:
            return False
    return False
