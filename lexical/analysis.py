"""The words of a text as the lexical index counts them.

The tokenizer splits at every sign, which tears sizes and codes apart: 1/2 in., 3.5 mm, 12-gauge,
F8J042-BLK. Here such a thing is written out whole before its parts, so that it matches however
it is spelled, and its parts still match alone.
"""

import re
import unicodedata

# Units by how they are written; several spellings of one unit count as one.
_UNITS = {
    unit: spellings[0]
    for spellings in (
        ("in", "inch", "inches"), ("ft", "foot", "feet"), ("yd", "yard", "yards"),
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
_FRACTION = re.compile(r"(?<![\w/])(\d+)/(\d+)(?![\w/])")
_DECIMAL = re.compile(r"(?<=\d)\.(?=\d)")
_SIZE = re.compile(rf"(?<!\w)(\d+(?:[df]\d+)?)[\s-]*({'|'.join(_UNITS)})\b", re.IGNORECASE)
# Parts joined by the signs that codes are joined by.
_JOINED = re.compile(r"(?<![\w./-])\w+(?:[-./]\w+)+")
_LONGEST_CODE = 60  # characters; beyond it is no code
_SIGNS = re.compile(r"[-./]")


def words(text: str) -> str:
    """A text for the tokenizer, with sizes and codes written out whole beside their parts.

    1/2 in. → 1f2in 1f2 in; 3.5mm → 3d5mm 3d5 mm; 12 gauge → 12gauge 12 gauge; AB-12 → AB12 AB 12.
    """
    # Composed characters, or an accent on its own would split a word; and valid UTF-8 for Rust.
    text = unicodedata.normalize("NFKC", text).encode("utf-8", "ignore").decode("utf-8")
    text = _FRACTION.sub(r"\1f\2", text)
    text = _DECIMAL.sub("d", text)
    return _JOINED.sub(_whole_code, _SIZE.sub(_whole_size, text))


def _whole_code(joined: re.Match[str]) -> str:
    """A code has both letters and digits."""
    parts = joined[0]
    whole = _SIGNS.sub("", parts)
    is_code = len(whole) <= _LONGEST_CODE and not whole.isdigit() and not whole.isalpha()
    return f"{whole} {parts}" if is_code and whole.isalnum() else parts


def _whole_size(size: re.Match[str]) -> str:
    unit = _UNITS[size[2].lower()]
    return f"{size[1]}{unit} {size[1]} {unit}"
