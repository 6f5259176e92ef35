"""The normal form of codes, and which texts are codes.

The normal form has only letters and digits: WX-40871-B → wx40871b. Leading zeros of a GTIN do not
count, and an ISBN of ten characters becomes the one of thirteen.
"""

import re

from catalog.items import Item, all_values
from catalog.text_forms import compose
from lexical.analysers.numbers import DIMENSIONS, SIZE, canonical_numbers

MIN_MIXED = 5  # minimum number of characters of a code with letters and digits
MIN_DIGITS = 6  # minimum number of digits of a code without letters
MIN_PART = 4  # minimum number of digits of a part without letters
_MIN_GTIN = 8  # minimum number of digits of a GTIN
_MIN_BROKEN = 9  # minimum number of digits with signs between them; dates have at most 8
_MAX_PIECES = 4  # a code of more pieces is found whole and by its digits, but not in parts
_ISBN_PREFIX = "978"

_NO_LETTER = re.compile(r"[\W_]+")
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_SIZES = re.compile(f"{DIMENSIONS}|{SIZE}")
_NUMBER = re.compile(r"\d{1,3}(?:[.,']\d{3})+|\d+[.,/]\d+")
_ATTRIBUTE = re.compile(r"(?=\D*\d)[\w./-]{5,40}")


def normal_form(code: str) -> str:
    """Return a code in normal form; "" for a text without letters and digits."""
    form = code if code.isdecimal() else _NO_LETTER.sub("", compose(code).casefold())
    if len(form) == len("0306406152") and form[:-1].isdecimal() and _is_isbn(form):
        body = _ISBN_PREFIX + form[:-1]
        total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body))
        return body + str(-total % 10)
    return form.lstrip("0") if form.isdecimal() and len(form) >= _MIN_GTIN else form


def pieces(text: str) -> list[str]:
    """Return the runs of letters and the runs of digits of a text."""
    return _PIECE.findall(text)


def part_forms(code: str) -> set[str]:
    """Return the forms of the parts of a code that identify it: its digits, and joined pieces.

    WX-40871-B → 40871, wx40871, 40871b.
    """
    if code.isdecimal():
        return set()
    found = pieces(compose(code).casefold())
    parts = {"".join(piece for piece in found if piece.isdecimal())}
    if len(found) <= _MAX_PIECES:
        ends = range(1, len(found) + 1)
        parts |= {"".join(found[start:end]) for end in ends for start in range(end)}
    return {normal_form(part) for part in parts if _is_part(part)} - {normal_form(code)}


def is_code(form: str) -> bool:
    """Return whether a normal form is surely no word and no short number."""
    if form.isdecimal():
        return len(form) >= MIN_DIGITS
    return len(form) >= MIN_MIXED and _has_digit(form) and any(map(str.isalpha, form))


def is_size(text: str) -> bool:
    """Return whether a text is a size or dimensions, such as 5000 btu or 2x4."""
    text = canonical_numbers(text.lower(), decimal_comma=False)
    return _SIZES.fullmatch(text) is not None


def without_sizes(text: str) -> str:
    """Return a text without its sizes, dimensions, fractions and numbers with separators."""
    kept = [word for word in text.split() if not _NUMBER.fullmatch(word)]
    return _SIZES.sub(" ", canonical_numbers(" ".join(kept), decimal_comma=False))


def is_written_as_code(word: str) -> bool:
    """Return whether a word of a query is written as codes are, and is no date and no range."""
    form = normal_form(word)
    if form.isdecimal() and not word.isdecimal():
        return len(form) >= _MIN_BROKEN
    return is_code(form)


def is_attribute_code(value: str) -> bool:
    """Return whether the value of an attribute is a code: one word, and no size."""
    if not _ATTRIBUTE.fullmatch(value):
        return False
    form = normal_form(value)
    if form.isdecimal():
        return len(form) >= _MIN_BROKEN - 1
    return is_code(form) and not is_size(value)


def own_codes(item: Item) -> tuple[str, ...]:
    """Return the id of an item and its identifiers."""
    return (item.item_id, *item.identifiers)


def attribute_codes(item: Item) -> tuple[str, ...]:
    """Return the attribute values of an item that are codes."""
    values = (v for value in item.attributes.values() for v in all_values(value))
    return tuple(filter(is_attribute_code, values))


def _is_part(part: str) -> bool:
    return len(part) >= MIN_PART if part.isdecimal() else is_code(part)


def _has_digit(text: str) -> bool:
    return any(map(str.isdecimal, text))


def _is_isbn(form: str) -> bool:
    """Return whether the last of ten characters is the check digit of an ISBN."""
    if not (form.isascii() and (form[-1].isdecimal() or form[-1] == "x")):
        return False
    digits = [10 if character == "x" else int(character) for character in form]
    return sum(digit * (10 - place) for place, digit in enumerate(digits)) % 11 == 0
