"""The weighted terms that a search for a query uses.

A word of the query that items have counts as it is. For other words, this module guesses: a word of
Latin letters may be pinyin, an unfinished word or a typo, and two Han characters may be two others
of the same sound.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lexical.analysers import QueryWord, cjk
from lexical.vocabulary import GUESS_WEIGHT, Vocabulary

_MAX_GUESSED = 8  # maximum number of unknown terms of a query to guess; a guess scans all terms
# Weight of a part of a size or compound if an item has the whole. With weight 1, many items with
# one of the parts come before items with the whole (`bench.quality.analysers`, dimensions).
_PART_WEIGHT = 0.5
_LATIN = re.compile("[a-zü]+")


@dataclass(frozen=True)
class Lookups:
    """What a query asks the index.

    Attributes:
        vocabulary: The terms of the index, without pinyin.
        has_sound: Whether an item has a term of pinyin.
        has_all: Whether an item has a term of each of some words.
    """

    vocabulary: Vocabulary
    has_sound: Callable[[str], bool]
    has_all: Callable[[Sequence[QueryWord]], bool]


def weighted_terms(words: Sequence[QueryWord], lookups: Lookups) -> dict[str, float]:
    """Return the terms of the words of a query, each with its weight.

    Guesses replace a word without a reading that an item has: its syllables, if it is pinyin. The
    last word is else replaced by its completions or, if there are none, by its corrections. Other
    words are replaced by their corrections. A word without guesses is left out.
    """
    vocabulary = lookups.vocabulary
    weights: dict[str, float] = {}
    unknown: list[tuple[str, bool]] = []
    pinyin = pinyin_syllables(words, lookups)
    for position, word in enumerate(words):
        if row := pinyin.get(position):
            # The last syllable before this word also makes a pair with its first syllable.
            before = pinyin.get(position - 1, [])[-1:]
            weights.update(dict.fromkeys(cjk.syllable_terms([*before, *row]), 1.0))
            continue
        known = [term for term in word.readings if term in vocabulary]
        weight = word.weight * (_PART_WEIGHT if word.part_of in vocabulary else 1.0)
        for term in known:
            weights[term] = max(weights.get(term, 0), weight)
        if not known and cjk.is_han_pair(word.text):
            pair = cjk.SOUND + cjk.SOUND.join(cjk.syllables(word.text))
            if lookups.has_sound(pair):
                weights.setdefault(pair, GUESS_WEIGHT * word.weight)
        elif not known and word.is_word:
            unknown += [(term, position == len(words) - 1) for term in word.readings]
    for term, is_last in unknown[:_MAX_GUESSED]:
        for guess in vocabulary.guesses(term, is_prefix=is_last):
            weights.setdefault(guess, GUESS_WEIGHT)
    return weights


def pinyin_syllables(words: Sequence[QueryWord], lookups: Lookups) -> dict[int, list[str]]:
    """Return the syllables of the words that are pinyin, by the position of the word.

    A word that no item has is pinyin if it consists of syllables. A single syllable that is also a
    word of items is pinyin beside such a word. It is pinyin, too, if the query has only syllables
    and no item has all its words.
    """
    rows = {
        position: row
        for position, word in enumerate(words)
        if word.is_word and _LATIN.fullmatch(word.text)
        if (row := _split(word.text.replace("ü", "v"), lookups.has_sound, set()))
    }
    known = {
        position
        for position in rows
        if any(term in lookups.vocabulary for term in words[position].readings)
    }
    pinyin = rows.keys() - known
    syllables = {position for position in known if len(rows[position]) == 1}
    only_syllables = all(p in rows for p, word in enumerate(words) if word.is_word)
    if syllables and only_syllables and not lookups.has_all(words):
        pinyin |= syllables
    for position in sorted(syllables):
        if position - 1 in pinyin or position + 1 in pinyin:
            pinyin.add(position)
    return {position: rows[position] for position in pinyin}


def _split(word: str, has_sound: Callable[[str], bool], no_rows: set[str]) -> list[str]:
    """Split a word into syllables of the index, each as long as possible; none if that fails.

    Args:
        word: Lower-case letters.
        has_sound: Whether an item has a term of pinyin.
        no_rows: Ends of the word that are known not to be rows of syllables.
    """
    for end in range(min(cjk.LONGEST_SYLLABLE, len(word)), 0, -1):
        rest = word[end:]
        if rest not in no_rows and has_sound(cjk.SOUND + word[:end]):
            if not rest:
                return [word]
            if row := _split(rest, has_sound, no_rows):
                return [word[:end], *row]
            no_rows.add(rest)
    return []
