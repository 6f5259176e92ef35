"""Correct mistyped words with the words of the catalogue.

The correction is the candidate with the highest probability, as in a noisy channel: how often the
catalogue has the candidate, how often it stands beside the neighbouring words, and how likely the
edit is. Known words, words with digits (sizes, codes) and short words are not corrected.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search.understanding.interpretation import Change, Rewrite
from search.understanding.near_words import MIN_LENGTH
from search.understanding.stop_words import FUNCTION_WORDS
from search.understanding.words import Words, is_plain

# Logarithms of the probabilities of edits, up to a constant.
_SWAP = -1.0  # two neighbouring letters are swapped
_DOUBLED = -0.5  # a letter is typed twice, or once instead of twice
_INSERTED = -1.5  # a letter too many, or too few
_NEIGHBOUR = -1.5  # the letter of a neighbouring key, or another vowel
_REPLACED = -2.5  # any other letter
_TWO_EDITS = -4.0
_FIRST_LETTER = -1.5  # added if the first letter changes; the first letter is seldom mistyped
_MISSING_SPACE = -1.5
_CONTEXT = 1.0  # weight of the neighbouring words
# The logarithm of the number of occurrences that an unknown word would have if it were no typo.
_UNSEEN = -3.0
# The same if the index has the word's stem, or if the encoder has the word, such as an English word
_UNSEEN_KNOWN = 2.0
_MIN_PART = 3  # minimum number of characters of each part of a split word

_VOWELS = frozenset("aeiouyäöüéèáíóú")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_KEYS = {key: (row, column) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)}


@dataclass(frozen=True)
class Speller:
    """Corrects words.

    Attributes:
        words: The words of the catalogue.
        is_indexed: Whether the lexical index has the stem of a word. It may be the stem of another
            word: "cabl" is the stem of "cable".
        is_real: Whether a word is a real word, whether or not the catalogue has it.
        sure: Probability from which a correction replaces the word as typed.
    """

    words: Words
    is_indexed: Callable[[str], bool]
    is_real: Callable[[str], bool]
    sure: float = 0.5

    def corrections(self, tokens: Sequence[str]) -> dict[int, Rewrite]:
        """Return the correction of each mistyped word, by its position among the words.

        Args:
            tokens: The words of a query, normalised.
        """
        padded = ("", *tokens, "")
        found = {
            position: self._correction(word, padded[position], padded[position + 2])
            for position, word in enumerate(tokens)
            if len(word) >= MIN_LENGTH and is_plain(word) and not self.knows(word)
        }
        return {position: rewrite for position, rewrite in found.items() if rewrite is not None}

    def knows(self, word: str) -> bool:
        """Return whether a word is surely no typo."""
        return (
            word in self.words
            or word in FUNCTION_WORDS
            or (self.is_indexed(word) and self.is_real(word))
        )

    def _correction(self, word: str, left: str, right: str) -> Rewrite | None:
        """Return the most probable correction; None without candidates."""
        scores = {
            known: self._score(word, known, left, right) for known in self.words.near_words(word)
        }
        split, pairs = best_split(self.words, word)
        if split:
            scores[split] = math.log(pairs) + _MISSING_SPACE
        if not scores:
            return None
        best = max(scores, key=lambda known: (scores[known], known))
        is_other_word = self.is_real(word) or self.is_indexed(word)
        unchanged = _UNSEEN_KNOWN if is_other_word else _UNSEEN
        # Subtract the best score, so that no power overflows.
        others = sum(math.exp(score - scores[best]) for score in (*scores.values(), unchanged))
        probability = 1 / others
        return Rewrite(
            Change.SPLIT if best == split else Change.SPELLING,
            word,
            best,
            probability,
            probability >= self.sure,
        )

    def _score(self, word: str, known: str, left: str, right: str) -> float:
        words = self.words
        beside = words.pair_count(left, known) + words.pair_count(known, right)
        return (
            math.log(words.count(known)) + _CONTEXT * math.log1p(beside) + edit_score(word, known)
        )


def best_split(words: Words, word: str) -> tuple[str, int]:
    """Return the two words that a word most often stands for, and how often the catalogue has them.

    Returns:
        The two words with a space, and the occurrences of the pair; "" and 0 without a pair.
    """
    best, most = "", 0
    for end in range(_MIN_PART, len(word) - _MIN_PART + 1):
        left, right = word[:end], word[end:]
        if left in words and right in words and (pairs := words.pair_count(left, right)) > most:
            best, most = f"{left} {right}", pairs
    return best, most


def edit_score(typed: str, known: str) -> float:
    """Return the logarithm of the probability of mistyping a word, up to a constant."""
    start = 0
    while start < min(len(typed), len(known)) and typed[start] == known[start]:
        start += 1
    end = 0
    while end < min(len(typed), len(known)) - start and typed[-1 - end] == known[-1 - end]:
        end += 1
    wrong, right = typed[start : len(typed) - end], known[start : len(known) - end]
    score = _TWO_EDITS
    if len(wrong) + len(right) == 1:
        is_doubled = start and (wrong or right) == typed[start - 1]
        score = _DOUBLED if is_doubled else _INSERTED
    elif len(wrong) == len(right) == 1:
        score = _NEIGHBOUR if _are_near(wrong, right) else _REPLACED
    elif len(wrong) == len(right) == 2 and wrong == right[::-1]:
        score = _SWAP
    return score + (_FIRST_LETTER if typed[0] != known[0] else 0.0)


def _are_near(first: str, second: str) -> bool:
    """Return whether two letters are both vowels, or on neighbouring keys."""
    if first in _VOWELS and second in _VOWELS:
        return True
    if first not in _KEYS or second not in _KEYS:
        return False
    (row, column), (other_row, other_column) = _KEYS[first], _KEYS[second]
    return abs(row - other_row) <= 1 and abs(column - other_column) <= 1
