"""Chinese, Japanese and Korean: terms without word boundaries, and pinyin.

The terms of Chinese and Japanese text are its Han characters and all pairs of neighbouring
characters; the terms of Korean text are pairs. All Han characters are simplified ones, and all kana
are hiragana.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise

import opencc

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3040-\u309f\u30a0-\u30ff"
_HANGUL = "\uac00-\ud7af"
SOUND = "~"
"""The first character of all terms of pinyin, and of no other term."""
# Weight of a pair with a Han character in a query; the characters themselves have weight 1. Pairs
# with a higher weight would outvote them (`bench.quality.analysers`, the even half of Chinese).
_PAIR_WEIGHT = 0.25
_CACHED = 1 << 16  # maximum number of characters and pairs whose syllables are cached
LONGEST_SYLLABLE = len("zhuang")
RUN = re.compile(f"[{_HAN}{_KANA}]+|[{_HANGUL}]+")
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_HAN_RUN = re.compile(f"[{_HAN}]+")
_HIRAGANA = {katakana: katakana - 0x60 for katakana in range(0x30A1, 0x30F7)}


def fold(text: str) -> str:
    """Replace traditional characters by simplified ones, and katakana by hiragana."""
    return text.translate(_folds())


def run_terms(run: str) -> list[str]:
    """Return the terms of a run of Han characters and kana, or of hangul."""
    if len(run) == 1:
        return [run]
    return [*_HAN_CHARACTER.findall(run), *(first + second for first, second in pairwise(run))]


def query_weight(term: str) -> float:
    """Return the weight of a term of `run_terms` in a query."""
    return _PAIR_WEIGHT if len(term) > 1 and _HAN_CHARACTER.search(term) else 1.0


def is_han(text: str) -> bool:
    """Return whether a text is one Han character, or two."""
    return len(text) <= 2 and _HAN_RUN.fullmatch(text) is not None


def is_han_pair(text: str) -> bool:
    """Return whether a text is two Han characters."""
    return len(text) == 2 and _HAN_RUN.fullmatch(text) is not None


def pinyin_terms(text: str) -> list[str]:
    """Return the syllables of the Han characters of a text without tones, and their pairs.

    A character whose sound depends on the characters beside it may have several syllables.
    """
    terms: list[str] = []
    for run in _HAN_RUN.findall(text):
        singles = [term for character in run for term in _sounds(character)]
        terms += singles
        known = set(singles)
        for first, second in pairwise(run):
            terms += [term for term in _sounds(first + second) if term not in known]
    return terms


def syllable_terms(row: Sequence[str]) -> list[str]:
    """Return the terms of neighbouring syllables: shou, ji → ~shou ~ji ~shou~ji."""
    singles = [SOUND + syllable for syllable in row]
    return [*singles, *(first + second for first, second in pairwise(singles))]


@lru_cache(_CACHED)
def _sounds(han: str) -> list[str]:
    return syllable_terms(syllables(han))


def syllables(han: str) -> tuple[str, ...]:
    """Return the syllables of one or two Han characters, without tones; ü is v.

    A phrase of the dictionary has its own syllables. Other characters have their most common ones.
    """
    # The dictionaries take 55 MB, which catalogues without Chinese do not need.
    from pypinyin.constants import PHRASES_DICT, PINYIN_DICT  # noqa: PLC0415

    if phrase := PHRASES_DICT.get(han):
        return tuple(_without_tone(readings[0]) for readings in phrase)
    found = (PINYIN_DICT.get(ord(character), "") for character in han)
    return tuple(_without_tone(readings.split(",")[0]) for readings in found if readings)


@lru_cache(_CACHED)
def _without_tone(syllable: str) -> str:
    letters = unicodedata.normalize("NFD", syllable).replace("u\u0308", "v")
    return "".join(letter for letter in letters if letter.isascii())


@cache
def _folds() -> dict[int, int]:
    """Map each character to the character that replaces it."""
    han = [chr(code) for code in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))]
    simplified = opencc.OpenCC("t2s").convert("\n".join(han)).split("\n")
    pairs = zip(han, simplified, strict=True)
    return _HIRAGANA | {ord(a): ord(b) for a, b in pairs if a != b and len(b) == 1}
