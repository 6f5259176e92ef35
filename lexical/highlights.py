"""Highlights: the words of an item's texts that a query matches."""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from catalog.item_text import TEXT_FIELDS
from catalog.items import Item, all_values

SNIPPET_CHARACTERS = 200  # maximum length of a snippet
_READ_CHARACTERS = 5_000  # characters of a text that are searched for words, from its start
_LONGEST = 5  # maximum number of words that give one term, such as "2 in. x 4 in."
_CHARACTER = "[\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
# A character of Chinese, Japanese or Korean, or a word of other letters and digits.
_WORD = re.compile(rf"{_CHARACTER}|(?:(?!{_CHARACTER})[\w\u0300-\u036f])+")
_SIGN = re.compile(r"[-./,'’×]?")  # joins two words to one: AB-12, 1/2, 5,000

Span: TypeAlias = tuple[
    int, int
]  # first position, and position after the last; in Unicode code points
Terms: TypeAlias = Callable[[str], Collection[str]]  # returns the terms of a text


@dataclass(frozen=True)
class Highlight:
    """The words of one field of an item that a query matches.

    Attributes:
        field: The field, or `attributes.NAME`.
        snippet: The text of the field or, if it is long, the part with the most matches.
        spans: The positions of the matching words in the snippet; rising and separate.
    """

    field: str
    snippet: str
    spans: tuple[Span, ...]


def highlights(item: Item, wanted: Collection[str], terms: Terms) -> tuple[Highlight, ...]:
    """Return the fields of an item that have wanted terms, in the order of the item text.

    Args:
        item: The item, with only the attributes that models read.
        wanted: The terms of the query.
        terms: Returns the terms of a word or of a few words; called once per word, so cache it.
    """
    found = []
    for field, text in _texts(item):
        if spans := matches(text[:_READ_CHARACTERS], wanted, terms):
            found.append(Highlight(field, *cut(text, spans)))
    return tuple(found)


def matches(text: str, wanted: Collection[str], terms: Terms) -> list[Span]:
    """Return the words of a text that give a wanted term; rising and separate.

    The text is read word by word. Words that belong together, such as the parts of a size or a
    code, are read together, too: they match as a whole if this gives a wanted term that no part of
    them gives.
    """
    words = [word.span() for word in _WORD.finditer(text)]
    spans = []
    for first in range(len(words)):
        for last in range(first, min(first + _LONGEST, len(words))):
            if last > first and not _belong(text, words, first, last):
                break
            begin, end = words[first][0], words[last][1]
            new = set(terms(text[begin:end])).intersection(wanted)
            if last > first:
                new -= set(terms(text[begin : words[last - 1][1]]))
                new -= set(terms(text[words[first + 1][0] : end]))
            if new:
                spans.append((begin, end))
    return _joined(spans)


def cut(
    text: str, spans: list[Span], length: int = SNIPPET_CHARACTERS
) -> tuple[str, tuple[Span, ...]]:
    """Cut the part with the most spans from a text.

    Args:
        text: The text.
        spans: Parts of the text; rising and separate, at least one.
        length: Maximum length of the part, in characters. A text that is not longer stays whole.

    Returns:
        The part, which begins and ends at white space if possible, and the spans within it.
    """
    if len(text) <= length:
        return text, tuple(spans)
    ends = [end for _, end in spans]
    counts = [bisect_right(ends, span[0] + length) - number for number, span in enumerate(spans)]
    first = max(range(len(spans)), key=counts.__getitem__)
    inside = spans[first : first + max(counts[first], 1)]
    begin, end = inside[0][0], inside[-1][1]
    start = min(max(begin - (length - (end - begin)) // 2, 0), begin, len(text) - length)
    stop = start + length
    if start and (space := re.search(r"\s+", text[start - 1 : begin])):
        start += space.end() - 1
    if stop < len(text) and (space := re.search(r"\s\S*\Z", text[end : stop + 1])):
        stop = end + space.start()
    part = text[start:stop]
    within = tuple((b - start, min(e, stop) - start) for b, e in spans if start <= b < stop)
    return part, within


def _texts(item: Item) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each field that models read; fields without text are left."""
    for name in TEXT_FIELDS:
        value = getattr(item, name)
        if isinstance(value, Mapping):
            for key, values in value.items():
                yield from ((f"{name}.{key}", text) for text in all_values(values) if text)
        elif value:
            yield name, value


def _belong(text: str, words: list[Span], first: int, last: int) -> bool:
    """Return whether the last word of a row may give a term together with the words before it."""
    gap = text[words[last - 1][1] : words[last][0]]
    if text[words[first][0]].isdigit():
        return len(gap) <= 2  # the parts of a size have spaces and dots between them
    is_pair = last == first + 1
    return bool(_SIGN.fullmatch(gap)) and (is_pair or bool(gap))


def _joined(spans: list[Span]) -> list[Span]:
    """Join spans that overlap or touch."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
