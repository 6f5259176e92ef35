"""Compounds: words such as Wasserkocher, which consist of words of the catalogue."""

import json
from collections import Counter
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from base.atomic_files import write_text
from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from lexical.analysers.base import Words

COMPOUNDS_FILE = "compounds.json"
_MIN_PART = 3  # minimum number of characters of the first part
_MIN_LAST = 4  # minimum number of characters of the last part
_MAX_COMPOUND = 40  # maximum number of characters of a compound
_MAX_WORDS = 100_000  # maximum number of words per language
_LINKS = ("", "s", "n", "en", "es", "er", "e")  # letters between two parts
# Prefixes and small words, which are no parts.
_NO_PARTS = frozenset(
    (
        "ein", "aus", "auf", "mit", "vor", "bei", "für", "von", "und", "der", "die", "das", "den",
        "dem", "des", "zur", "zum", "ist", "nach", "über", "een", "het", "van", "voor", "met",
        "uit", "aan", "bij", "over",
    )
)  # fmt: skip


def common_parts(counts: Counter[str]) -> frozenset[str]:
    """Return the words that can be parts of compounds, at most 100,000 of the most common."""
    parts = (word for word, _ in counts.most_common() if _is_part(word))
    return frozenset(islice(parts, _MAX_WORDS))


def read(directory: Path) -> Words:
    """Read the words of compounds of the index in `directory`; none if there is no file.

    Raises:
        InputError: the file is malformed.
    """
    path = directory / COMPOUNDS_FILE
    if not path.exists():
        return {}
    try:
        values = json.loads(read_bytes(path, limits.JSON_BYTES))
        words = {language: frozenset(words) for language, words in values.items()}
        if not all(isinstance(word, str) for of_language in words.values() for word in of_language):
            raise TypeError("a word is no text")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: the words of compounds are malformed ({error!r}); build the index again with "
            "`shortlist train index`"
        ) from error
    return words


def write(directory: Path, words: Words) -> None:
    """Write the words of compounds beside the index, if there are any."""
    if words:
        values = {language: sorted(words[language]) for language in sorted(words)}
        text = json.dumps(values, ensure_ascii=False, indent=1)
        write_text(directory / COMPOUNDS_FILE, text + "\n")


def _is_part(word: str) -> bool:
    return _MIN_PART <= len(word) <= _MAX_COMPOUND and word.isalpha() and word not in _NO_PARTS


def split(word: str, words: Collection[str]) -> list[str]:
    """Return the parts of a compound; none if the word is no compound of `words`.

    The last part is the longest that leaves a known first part. The first part may be a compound.
    """
    if not _MIN_PART + _MIN_LAST <= len(word) <= _MAX_COMPOUND:
        return []
    for start in range(_MIN_PART, len(word) - _MIN_LAST + 1):
        if word[start:] in words and (first := _first_parts(word[:start], words)):
            return [*first, word[start:]]
    return []


def _first_parts(start: str, words: Collection[str]) -> list[str]:
    for link in _LINKS:
        part = start.removesuffix(link)
        if start.endswith(link) and len(part) >= _MIN_PART and part in words:
            return [part]
    return split(start, words)
