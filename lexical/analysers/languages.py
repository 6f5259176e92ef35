"""The languages that words are stemmed in, and what differs between them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import tantivy

_UMLAUT = re.compile("(?<![aeiouqäöü])(a|o|u)e")  # ae, oe or ue for an umlaut; not in "neue"


@dataclass(frozen=True)
class Language:
    """What differs between languages.

    Attributes:
        stemmer: The name of the Snowball stemmer in tantivy.
        decimal_comma: Whether a comma is the decimal sign, and a dot separates thousands.
        compounds: Whether nouns are joined to one word (Wasserkocher).
    """

    stemmer: str
    decimal_comma: bool = True
    compounds: bool = False


LANGUAGES: Mapping[str, Language] = {
    "en": Language("english", decimal_comma=False),
    "de": Language("german", compounds=True),
    "nl": Language("dutch", compounds=True),
    "fr": Language("french"),
    "es": Language("spanish"),
    "it": Language("italian"),
    "pt": Language("portuguese"),
    "ru": Language("russian"),
}

# Languages of other scripts, and no language: Latin letters are read in the default language.
OTHER_SCRIPTS = frozenset(("", "zh", "ja", "ko", "ru"))

# English nouns whose singular has another stem than the plural. Each is stemmed as its plural.
_IRREGULAR = {
    "shelf": "shelves", "bookshelf": "bookshelves", "knife": "knives", "leaf": "leaves",
    "half": "halves", "scarf": "scarves", "loaf": "loaves", "calf": "calves", "wolf": "wolves",
    "hoof": "hooves", "elf": "elves", "thief": "thieves", "wife": "wives", "man": "men",
    "woman": "women", "child": "children", "foot": "feet", "tooth": "teeth", "goose": "geese",
    "mouse": "mice", "person": "people", "ox": "oxen",
}  # fmt: skip
_LONGEST_IRREGULAR = max(map(len, _IRREGULAR))


def stems(word: str, language: str) -> tuple[str, ...]:
    """Return the terms of a lower-case word: its stem in ASCII letters.

    A word with accents has a second term if its stem differs when it is typed without accents.
    A language without a stemmer leaves words whole.
    """
    if language == "en" and len(word) <= _LONGEST_IRREGULAR:
        word = _IRREGULAR.get(word, word)
    elif language == "de":
        word = _UMLAUT.sub(r"\1", word)
    stemmer = _stemmer(LANGUAGES[language].stemmer if language in LANGUAGES else "")
    stem = "".join(stemmer.analyze(word))
    if word.isascii():
        return (stem,)
    without_accents = "".join(stemmer.analyze("".join(_stemmer("").analyze(word))))
    return (stem,) if without_accents == stem else (stem, without_accents)


@cache
def _stemmer(name: str) -> tantivy.TextAnalyzer:
    """Return an analyser of one word: it stems, and then replaces accented letters by ASCII."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw())
    if name:
        builder = builder.filter(tantivy.Filter.stemmer(name))
    return builder.filter(tantivy.Filter.ascii_fold()).build()
