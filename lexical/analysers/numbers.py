"""Numbers, sizes and dimensions: one spelling for each.

A number is written as a decimal without separators: 5,000 → 5000; 1-1/2 → 1.5; .50 → 0.5. A size is
a number with a unit (1/2 in. → 0.5in), and dimensions are two or more sizes (2 in. x 4 in. → 2x4).
"""

import re
from itertools import pairwise

# Spellings of units. The first spelling of each group is indexed.
UNITS = {
    unit: spellings[0]
    for spellings in (
        ("in", "inch", "inches", '"', "''"), ("ft", "foot", "feet", "'"), ("yd", "yard", "yards"),
        ("mm",), ("cm",), ("m", "meter", "meters", "metre", "metres"), ("km",), ("sq",), ("cu",),
        ("oz", "ounce", "ounces"), ("lb", "lbs", "pound", "pounds"), ("g",), ("kg",), ("mg",),
        ("ml",), ("l", "liter", "liters", "litre", "litres"), ("gal", "gallon", "gallons"), ("qt",),
        ("v", "volt", "volts"), ("w", "watt", "watts"), ("kw",), ("a", "amp", "amps"), ("mah",),
        ("hz",), ("khz",), ("mhz",), ("ghz",), ("kb",), ("mb",), ("gb",), ("tb",), ("gbps",),
        ("psi",), ("btu", "btus"), ("hp",), ("rpm",), ("gpm",), ("cfm",), ("dpi",), ("mp",),
        ("gauge", "ga"), ("lumen", "lumens"), ("k",), ("pack", "pk"), ("piece", "pc", "pieces"),
    )
    for unit in spellings
}  # fmt: skip
_WORDS = "|".join(unit for unit in UNITS if unit.isalpha())
_UNIT = rf"(?:[\s-]*(?:{_WORDS})\b|\s?(?:''|[\"']))"
_VALUE = r"\d{1,12}(?:\.\d{1,12})?(?:⁄\d{1,4})?"  # a number as `canonical_numbers` writes it
_SIDE = r"(?:\.?\s*(?:[wdhl]|wide|deep|high|tall|long)\b)?\.?"  # names a side: 2 in. W x 4 in. H
_BY = r"\s*(?:x|×|\bby\b)\s*"
DIMENSIONS = rf"(?<!\w){_VALUE}{_UNIT}?(?:{_SIDE}{_BY}{_VALUE}{_UNIT}?){{1,3}}(?!\d)"
SIZE = rf"(?<!\w){_VALUE}{_UNIT}"
_PART = re.compile(rf"({_VALUE})[\s-]*((?:{_WORDS})\b|''|[\"'])?")

_FRACTION = re.compile(r"(?<![\w.,/])(?:(\d{1,3}-|\d{1,2} (?:- )?))?(\d{1,4})/(\d{1,4})(?![\d/])")
_LARGEST_DENOMINATOR = 64  # of fractions that are written as decimals


def _decimal(thousands: str, point: str, other: str) -> re.Pattern[str]:
    """Match a number with separators; a comma before one or two digits is a decimal sign, too."""
    return re.compile(
        rf"(?<![\w.,])(?:(?P<whole>\d{{1,3}}(?:[{thousands}']\d{{3}})+)(?:{point}(?P<rest>\d+))?"
        rf"|(?P<units>\d+|(?<!\d)){point}(?P<tenths>\d+)|(?P<ones>\d+){other}(?P<part>\d\d?))"
        r"(?!\d|[.,]\d)"
    )


_WITH_POINT, _WITH_COMMA = _decimal(",", r"\.", ","), _decimal(r"\.", ",", r"\.")
AMBIGUOUS = re.compile(r"\d[.,]\d")
"""Matches in texts whose numbers differ by language: 1.500 is 1500 in German."""


def canonical_numbers(text: str, *, decimal_comma: bool) -> str:
    """Write each number of a text as a decimal without separators.

    A fraction that is no part of a whole (24/7) keeps its parts, joined by the sign ⁄.
    """
    if "/" in text:
        text = _FRACTION.sub(_as_decimal, text)
    if "," in text or "." in text or "'" in text:
        text = (_WITH_COMMA if decimal_comma else _WITH_POINT).sub(_without_separators, text)
    return text


def size_terms(size: str) -> list[tuple[str, str]]:
    """Return the terms of a size or of dimensions, each with the term that it is a part of.

    1.5 inches → 1.5in, and its parts 1.5 and in. A dimension without a unit has the unit of the
    last. Dimensions are also terms together: 2 in. x 4 in. x 8 ft. → 2x4x8 2x4 4x8 2in 2 in 4in 4
    in 8ft 8 ft. The number of a dimension is a part of a pair.
    """
    parts = _PART.findall(size)
    values = [value for value, _ in parts]
    pairs = [f"{first}x{second}" for first, second in pairwise(values)]
    terms = [(whole, "") for whole in (["x".join(values)] if len(pairs) > 1 else []) + pairs]
    last_unit = UNITS.get(parts[-1][1])
    for position, (value, unit) in enumerate(parts):
        pair = pairs[max(0, position - 1)] if pairs else ""
        if name := UNITS.get(unit) or last_unit:
            terms += [(value + name, ""), (value, pair or value + name), (name, value + name)]
        else:
            terms.append((value, pair))
    return terms


def _as_decimal(fraction: re.Match[str]) -> str:
    whole, above, below = fraction.groups(default="")
    if 0 < int(above) < int(below) <= _LARGEST_DENOMINATOR:
        value = int(whole.rstrip(" -") or 0) + int(above) / int(below)
        return f"{value:.4f}".rstrip("0")
    return f"{whole}{above}⁄{below}"


def _without_separators(number: re.Match[str]) -> str:
    whole, rest, units, tenths, ones, part = number.groups()
    digits = re.sub(r"\D", "", whole or units or ones or "0")
    decimals = (rest or tenths or part or "").rstrip("0")
    return f"{digits}.{decimals}" if decimals else digits
