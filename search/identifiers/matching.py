"""Find the codes in a query: the items that have them, and codes that no item has."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int32

from catalog.catalogue import Catalogue
from lexical.index import LexicalIndex
from search.identifiers.codes import (
    MIN_PART,
    is_code,
    is_size,
    is_written_as_code,
    normal_form,
    pieces,
    without_sizes,
)
from search.identifiers.table import MOST_SHARED, CodeKind, Identifiers

_NO_SIGN = re.compile(r"[\W_]+")
_WHOLE = (CodeKind.OWN, CodeKind.ATTRIBUTE)
_MOST_WORDS = 16  # number of words of a query in which codes are sought
_LONGEST = 4  # maximum number of words of a code inside a longer query
_SHORT_WORD = 3  # maximum number of letters of a piece of a code that is typed with spaces
_SHORT_NUMBER = 3  # maximum number of digits beside a word, as in iphone15


@dataclass(frozen=True)
class CodeMatch:
    """The codes in a query.

    Attributes:
        rows: Rows of the items that have one of the codes.
        is_all: Whether the whole query is a code that items have.
        unknown: Codes that no item has, as typed.
    """

    rows: Int32[np.ndarray, " rows"] = field(default_factory=lambda: np.zeros(0, np.int32))
    is_all: bool = False
    unknown: tuple[str, ...] = ()


NO_CODES = CodeMatch()


def find_codes(
    text: str,
    identifiers: Identifiers,
    catalogue: Catalogue,
    index: LexicalIndex | None,
    is_real: Callable[[str], bool],
) -> CodeMatch:
    """Find the codes in a query.

    The whole query may be any code of an item. A part of the query must be an id or an identifier
    of at least five characters with letters and digits, or of at least six digits, or the value of
    an attribute. A code that is shorter, or only a part of a code, must not occur in the texts of
    more items than have it: 12 is seldom a code. A value of an attribute may occur in a few texts
    more. Sizes are no codes.

    Args:
        text: The normalised query.
        identifiers: The codes of the items.
        catalogue: The items.
        index: The lexical index, which has the words of the items; None: no words.
        is_real: Whether a word is a real word, whether or not the catalogue has it.
    """
    if not any(map(str.isdecimal, text)):
        return NO_CODES
    if is_size(text):
        return NO_CODES
    form = normal_form(text)
    kind, rows = identifiers.find(form, catalogue)
    if kind is not None and _is_sure(kind, form, len(rows), text, index):
        return CodeMatch(rows, is_all=True)
    words = without_sizes(text).split()[:_MOST_WORDS]
    found: dict[int, tuple[int, int]] = {}  # the words of the code, by row
    for start, end in _windows(words):
        form = normal_form("".join(words[start:end]))
        if not is_code(form):
            continue
        kind, rows = identifiers.find(form, catalogue)
        typed = " ".join(words[start:end])
        if kind in _WHOLE and _is_sure(kind, form, len(rows), typed, index):
            found |= dict.fromkeys(rows.tolist(), (start, end))
    known = {word for start, end in found.values() for word in words[start:end]}
    unknown = [
        word
        for word in words
        if word not in known
        and is_written_as_code(word)
        and not _is_known(word, index)
        and not _is_word(word, index, is_real)
        and identifiers.find(normal_form(word), catalogue)[0] is None
    ]
    if not found and not unknown and _is_spaced_code(text, index):
        unknown = [text]
    return CodeMatch(np.array(list(found), np.int32), unknown=tuple(unknown))


def _windows(words: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of every run of words that has a digit."""
    has_digit = [any(map(str.isdecimal, word)) for word in words]
    for start in range(len(words)):
        for end in range(start + 1, min(start + _LONGEST, len(words)) + 1):
            if any(has_digit[start:end]):
                yield start, end


def _is_sure(kind: CodeKind, form: str, items: int, text: str, index: LexicalIndex | None) -> bool:
    """Return whether a text means the items that have it as a code."""
    if kind is CodeKind.OWN and is_code(form):
        return True
    if kind is CodeKind.ATTRIBUTE:
        return _count(text, index) <= max(items, MOST_SHARED)
    return _count(text, index) <= items


def _count(text: str, index: LexicalIndex | None) -> int:
    """Return in how many items the rarest term of a text occurs."""
    if index is None:
        return 0
    return min(map(index.vocabulary.count, index.terms(text)), default=0)


def _is_known(word: str, index: LexicalIndex | None) -> bool:
    """Return whether the texts of items have a code as one word."""
    return index is not None and index.has(_NO_SIGN.sub("", word))


def _is_word(word: str, index: LexicalIndex | None, is_real: Callable[[str], bool]) -> bool:
    """Return whether a text consists of real words and short numbers, such as 3-drawer.

    A single letter is no word: cat2a and CLP-078N are codes.
    """
    found = pieces(word)
    letters = [piece for piece in found if not piece.isdecimal()]
    return (
        all(len(piece) <= _SHORT_NUMBER for piece in found if piece.isdecimal())
        and any(len(piece) >= _SHORT_WORD for piece in letters)
        and all(len(piece) > 1 for piece in letters)
        and all(is_real(piece) or _is_known(piece, index) for piece in letters)
    )


def _is_spaced_code(text: str, index: LexicalIndex | None) -> bool:
    """Return whether a query is nothing but pieces of a code, and no item has its numbers."""
    found = pieces(text)
    return all(len(piece) <= _SHORT_WORD for piece in found if not piece.isdecimal()) and any(
        piece.isdecimal() and len(piece) >= MIN_PART and not _is_known(piece, index)
        for piece in found
    )
