"""English, as indexes before the analyser "multilingual" read it.

Words are stemmed, and sizes and codes are indexed both whole and in parts.

The tokenizer splits at every punctuation mark, which breaks up sizes and codes: 1/2 in., 3.5 mm,
12-gauge, F8J042-BLK. `prepare` replaces each size or code by one word, followed by its parts. The
word matches every spelling of the size or code, and each part still matches by itself.
"""

# ruff: noqa: ARG002 - the protocol `Reader` sets the parameters of the methods

import re
from collections.abc import Collection

import tantivy

from lexical.analysers.base import Analyser, QueryWord, Words, normalise

_MAX_TERM_BYTES = 100
# Spellings of units. The first spelling of each group is indexed.
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
# Matches parts that are joined by hyphens, dots or slashes, as in a code.
_JOINED = re.compile(r"(?<![\w./-])\w+(?:[-./]\w+)+")
_LONGEST_CODE = 60  # maximum number of characters of a code
_SIGNS = re.compile(r"[-./]")


def prepare(text: str) -> str:
    """Replace each size and code by one word, followed by its parts.

    1/2 in. → 1f2in 1f2 in; 3.5mm → 3d5mm 3d5 mm; 12 gauge → 12gauge 12 gauge; AB-12 → AB12 AB 12.
    """
    text = _FRACTION.sub(r"\1f\2", normalise(text))
    text = _DECIMAL.sub("d", text)
    return _JOINED.sub(_whole_code, _SIZE.sub(_whole_size, text))


def _tokenizer() -> tantivy.TextAnalyzer:
    """Return a tokenizer; its terms are stemmed runs of letters and digits in lower-case ASCII."""
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_MAX_TERM_BYTES))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


class EnglishReader:
    """Reads all texts as English; see `Reader`."""

    def __init__(self, default_language: str, words: Words) -> None:
        """Ignore the default language and the words of compounds."""
        self._tokenizer = _tokenizer()

    def language(self, language: str) -> str:
        """Return English."""
        return "en"

    def terms(self, text: str, language: str) -> list[str]:
        """Return the terms of a text."""
        return list(self._tokenizer.analyze(prepare(text)))

    def surface_words(self, text: str, language: str) -> list[str]:
        """Return no words, because English words are not split."""
        return []

    def query_words(self, text: str, languages: Collection[str]) -> list[QueryWord]:
        """Return each term of a query as a word."""
        return [QueryWord(term, (term,)) for term in self.terms(text, "en")]


ANALYSER = Analyser("english", "shortlist_en_2", EnglishReader, by_language=False)


def _whole_code(joined: re.Match[str]) -> str:
    """Return a code (letters and digits) as one word, followed by its parts."""
    parts = joined[0]
    whole = _SIGNS.sub("", parts)
    is_code = len(whole) <= _LONGEST_CODE and not whole.isdigit() and not whole.isalpha()
    return f"{whole} {parts}" if is_code and whole.isalnum() else parts


def _whole_size(size: re.Match[str]) -> str:
    """Write a size as one word before its number and unit."""
    unit = _UNITS[size[2].lower()]
    return f"{size[1]}{unit} {size[1]} {unit}"
