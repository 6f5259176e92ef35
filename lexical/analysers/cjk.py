"""Chinese, Japanese and Korean: terms without word boundaries, and pinyin.

The terms of Chinese and Japanese text are its Han characters and all pairs of neighbouring
characters; the terms of Korean text are pairs. All Han characters are simplified ones, and all kana
are hiragana.
"""

import re
from collections.abc import Iterator
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


def is_han_pair(text: str) -> bool:
    """Return whether a text is two Han characters."""
    return len(text) == 2 and _HAN_RUN.fullmatch(text) is not None


def pinyin_terms(text: str) -> Iterator[str]:
    """Yield the syllables of the Han characters of a text without tones, and their pairs."""
    for run in _HAN_RUN.findall(text):
        yield from syllable_terms(syllables(run))


def syllable_terms(row: list[str]) -> list[str]:
    """Return the terms of neighbouring syllables: shou, ji → ~shou ~ji ~shou~ji."""
    singles = [SOUND + syllable for syllable in row]
    return [*singles, *(first + second for first, second in pairwise(singles))]


@lru_cache(4_096)
def syllables(han: str) -> list[str]:
    """Return the syllables of Han characters, without tones; ü is v."""
    # Its dictionaries take 55 MB, which catalogues without Chinese do not need.
    from pypinyin import lazy_pinyin  # noqa: PLC0415

    return [syllable for syllable in lazy_pinyin(han) if syllable.isascii()]


@cache
def _folds() -> dict[int, int]:
    """Map each character to the character that replaces it."""
    han = [chr(code) for code in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))]
    simplified = opencc.OpenCC("t2s").convert("\n".join(han)).split("\n")
    pairs = zip(han, simplified, strict=True)
    return _HIRAGANA | {ord(a): ord(b) for a, b in pairs if a != b and len(b) == 1}
