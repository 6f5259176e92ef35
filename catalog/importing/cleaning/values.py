"""Clean the values of exports: texts, codes, prices, availability, dates and categories.

Each function takes the text of a cell. It raises ValueError with a description of the problem if
the text has no value of the kind.
"""

import datetime
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from catalog.dataset.attributes import attribute_texts
from catalog.dataset.decimal_commas import UNCLEAR_NUMBER
from catalog.dataset.problems import quote
from catalog.importing.cleaning.html_text import plain_text
from catalog.importing.cleaning.words import (
    AMBIGUOUS_SIGNS,
    AVAILABILITY,
    CURRENCIES,
    CURRENCY_SIGNS,
    LANGUAGES,
    WITHOUT_DECIMALS,
)

_NUMBER = re.compile(r"[-+]?(?:\d[\d.,'’ \u00a0\u202f]*)?\d|[-+]?[.,]\d+")
_PLAIN_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
# Signs that group thousands, beside decimal points and beside decimal commas.
_GROUPS = {
    False: re.compile(r"(?<=\d)[,'’ \u00a0\u202f](?=\d{3}(?!\d))"),
    True: re.compile(r"(?<=\d)[.'’ \u00a0\u202f](?=\d{3}(?!\d))"),
}
_NO_CENTS = re.compile(r"(?<=\d)[.,]\s?[-–—]+")  # `12.-` and `12,–`
_FROM = re.compile(r"^(?:from|ab|à partir de|a partir de|desde|a partire da|vanaf|od|от)\s+", re.I)
_EXCEL_TEXT = re.compile(r'="(.*)"|\'(.+)', re.DOTALL)  # the forms of numbers that Excel keeps
_EXCEL_SHORT = re.compile(r"\d[.,]\d+[eE]\+\d+")
_WHOLE_FLOAT = re.compile(r"(\d+)\.0")
_DATE = re.compile(r"(\d{4})[-/](\d\d?)[-/](\d\d?)(?!\d)")
_COMPACT_DATE = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)")
_COMPACT_TIME = re.compile(r"((?:19|20)\d{6})([0-2]\d[0-5]\d[0-5]\d)")
_WRITTEN_DATE = re.compile(r"([A-Za-z]{3})[a-z]*\.? (\d\d?), (\d{4})")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_LEVELS = (">", "›", "»", "/", "|")  # signs between the levels of a category, the likeliest first
_PATHS = ("|", ";", ",")  # signs between several categories
_MAX_WHOLE = 2**63 - 1


def texts(value: Any) -> Iterator[str]:
    """Yield all texts of a cell or of a JSON value, in order, also of lists and objects.

    Values without a text, such as bytes, are left out.
    """
    stack = [value]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            stack += reversed(top.values())
        elif isinstance(top, list | tuple):
            stack += reversed(top)
        else:
            with suppress(TypeError):
                yield from attribute_texts(top)


def code(text: str) -> str:
    """Return an id or a product code; leading zeros stay.

    `="0012"` and `'0012` are forms in which spreadsheets keep numbers as text. `12.0` is a whole
    number that a data frame wrote as a float.
    """
    excel = _EXCEL_TEXT.fullmatch(text.strip())
    cleaned = plain_text((excel[1] or excel[2] or "") if excel else text)
    if _EXCEL_SHORT.fullmatch(cleaned):
        raise ValueError(f"{quote(cleaned)} is a code that a spreadsheet rounded")
    whole = _WHOLE_FLOAT.fullmatch(cleaned)
    return whole[1] if whole else cleaned


def is_gtin(text: str) -> bool:
    """Return whether a text is a GTIN of 8, 12, 13 or 14 digits with a correct check digit."""
    if not (text.isascii() and text.isdigit() and len(text) in (8, 12, 13, 14)):
        return False
    digits = [int(digit) for digit in reversed(text)]
    return (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def price_parts(text: str) -> tuple[str, list[str]]:
    """Split a price into its number, as it is written, and the texts before and after it.

    A word such as `from` and the `*` of a footnote are left out, and so is a blank text.
    """
    cleaned = _NO_CENTS.sub("", plain_text(text))
    numbers = _NUMBER.findall(cleaned)
    if len(numbers) != 1:
        raise ValueError(f"{quote(cleaned)} is not one price")
    before, _, after = _FROM.sub("", cleaned).partition(numbers[0])
    return numbers[0], [sign for side in (before, after) if (sign := side.strip(" .:*"))]


def price(text: str, decimal_comma: bool, default_currency: str) -> tuple[float, str | None]:
    """Return a price and its currency; None if neither the text nor the default names one.

    Args:
        text: Such as `1.299,00 €`, `EUR 12.5` or `$1,299`.
        decimal_comma: Whether commas are decimal.
        default_currency: The currency of a price without a sign, and the meaning of signs of
            several currencies, such as `$`, if it is one of them. "": not known.
    """
    written, signs = price_parts(text)
    named = currency(signs, default_currency)
    if has_no_decimals(written, signs, default_currency):
        decimal_comma = "." in written
    amount = number(written, decimal_comma)
    if amount < 0:
        raise ValueError(f"{quote(text)} is below 0")
    return amount, named or None


def currency(signs: Sequence[str], default: str) -> str:
    """Return the code of the currency that all signs of a price name; "": not known.

    Args:
        signs: The texts beside a price, such as `$` and `USD`.
        default: The currency without a sign, and the meaning of signs of several currencies.
    """
    if not signs:
        return default
    several = [codes for sign in signs for codes in _currencies(sign)]
    common = [code for code in several[0] if all(code in codes for codes in several)]
    if not common:
        raise ValueError(f"{quote(' '.join(signs))} names different currencies")
    return default if default in common else common[0]


def _currencies(sign: str) -> list[tuple[str, ...]]:
    """Return the currencies that each sign or code of a text can mean: one of `US $`."""
    words = sign.lower().split()
    joined = _meanings("".join(words))
    known = [joined] if joined else [_meanings(word) for word in words]
    if not all(known):
        raise ValueError(f"{quote(sign)} is not a currency")
    return known


def _meanings(word: str) -> tuple[str, ...]:
    if word in AMBIGUOUS_SIGNS:
        return AMBIGUOUS_SIGNS[word]
    code = CURRENCY_SIGNS.get(word, word.upper())
    return (code,) if code in CURRENCIES else ()


def has_no_decimals(written: str, signs: Sequence[str], default_currency: str) -> bool:
    """Return whether a sign can only group thousands, as prices in yen have no decimals."""
    return (
        UNCLEAR_NUMBER.fullmatch(written) is not None
        and currency(signs, default_currency) in WITHOUT_DECIMALS
    )


def number(text: str, decimal_comma: bool) -> float:
    """Return a finite number; signs that group thousands are dropped."""
    cleaned = text.strip()
    pointed = _GROUPS[decimal_comma].sub("", cleaned)
    if decimal_comma:
        pointed = pointed.replace(",", ".")
    if not pointed.isascii() or not _PLAIN_NUMBER.fullmatch(pointed):
        raise ValueError(f"{quote(cleaned)} is not a number")
    value = float(pointed)
    if not math.isfinite(value):
        raise ValueError(f"{quote(cleaned)} is not a finite number")
    return value


def whole(text: str, decimal_comma: bool) -> int:
    """Return a whole number of 64 bits."""
    value = number(text, decimal_comma)
    if not value.is_integer() or abs(value) > _MAX_WHOLE:
        raise ValueError(f"{quote(text)} is not a whole number")
    return int(value)


def availability(text: str) -> bool:
    """Return whether an item is in stock: a flag, a word of several languages, or a quantity."""
    cleaned = plain_text(text)
    word = cleaned.rpartition("/")[2] if "schema.org" in cleaned else cleaned
    word = word.lower().replace("_", " ").replace("-", " ").rstrip(".!")
    if word in AVAILABILITY:
        return AVAILABILITY[word]
    if _PLAIN_NUMBER.fullmatch(cleaned) and cleaned.isascii():
        return float(cleaned) > 0
    raise ValueError(f"{quote(cleaned)} is not a known word for availability")


def date(text: str) -> datetime.date:
    """Return a date: `2024-01-31`, with or without a time, `20240131`, or `January 31, 2024`."""
    cleaned = plain_text(text)
    if match := _DATE.match(cleaned) or _COMPACT_DATE.fullmatch(cleaned):
        year, month, day = map(int, match.groups())
    elif (match := _WRITTEN_DATE.match(cleaned)) and match[1].lower() in _MONTHS:
        year, month, day = int(match[3]), _MONTHS.index(match[1].lower()) + 1, int(match[2])
    else:
        raise ValueError(f"{quote(cleaned)} is not a date such as 2024-01-31")
    try:
        return datetime.date(year, month, day)
    except ValueError:
        raise ValueError(f"{quote(cleaned)} is not a date of the calendar") from None


def time(text: str) -> datetime.datetime:
    """Return a time: ISO 8601 (UTC if it has no zone), or seconds or milliseconds since 1970.

    `20240131` is a date, and `20240131093000` a date with a time.
    """
    cleaned = plain_text(text)
    is_number = cleaned.isascii() and cleaned.replace(".", "", 1).isdigit()
    if compact := _COMPACT_TIME.fullmatch(cleaned):
        cleaned, is_number = f"{compact[1]}T{compact[2]}", False
    try:
        if is_number and not _COMPACT_DATE.fullmatch(cleaned):
            seconds = float(cleaned)
            # 100 billion seconds after 1970 is the year 5138.
            seconds = seconds / 1000 if seconds > 1e11 else seconds
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        parsed = datetime.datetime.fromisoformat(cleaned)
        zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)
        return zoned.astimezone(datetime.UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{quote(cleaned)} is not a time such as 2024-01-31T09:30:00Z") from None


def end_of(text: str) -> datetime.datetime:
    """Return the time at which a period ends; a date without a time is the end of its day."""
    cleaned = text.strip()
    has_no_time = _DATE.fullmatch(cleaned) or _COMPACT_DATE.fullmatch(cleaned)
    whole_day = datetime.timedelta(days=has_no_time is not None)
    return time(text) + whole_day


def language(text: str) -> str:
    """Return the primary tag of a language: `en` for `en_US`, and `de` for `German`."""
    cleaned = plain_text(text).lower()
    tag = LANGUAGES.get(cleaned, re.split("[-_]", cleaned)[0])
    if not re.fullmatch("[a-z]{2,3}", tag):
        raise ValueError(f"{quote(cleaned)} is not a language such as en")
    return tag


def split(text: str, sign: str) -> list[str]:
    r"""Return the parts of a text between signs, without blank parts; `\` protects a sign."""
    if not sign:
        return [text]
    parts = re.split(rf"(?<!\\){re.escape(sign)}", text)
    return [part for p in parts if (part := p.replace(f"\\{sign}", sign).strip())]


def categories(text: str, levels: str) -> list[str]:
    """Return the category paths of a text, each as `A > B > C`.

    Args:
        text: One path; without given levels, also several paths with `>` between the levels.
        levels: The sign between levels. "": the first of `>`, `›`, `»`, `/` and `|` in the text;
            `/` counts only with spaces beside it.
    """
    cleaned = plain_text(text)
    if levels:
        return _paths([cleaned], levels)
    sign = next((s for s in _LEVELS if (f" {s} " if s == "/" else s) in cleaned), "")
    if not sign:
        return _paths([cleaned], "")
    if sign not in _PATHS:
        for between in _PATHS:
            parts = cleaned.split(between)
            # A comma may also be part of a name, as in `Health, Beauty > Soap`.
            if len(parts) > 1 and all(sign in part for part in parts):
                return _paths(parts, sign)
    return _paths([cleaned], f" {sign} " if sign == "/" else sign)


def _paths(parts: list[str], sign: str) -> list[str]:
    paths = (
        " > ".join(name.strip() for name in (part.split(sign) if sign else [part]) if name.strip())
        for part in parts
    )
    return [path for path in paths if path]
