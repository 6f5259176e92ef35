"""Correct mistyped words of a prefix with the words of suggestions."""

from collections.abc import Mapping, Sequence

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

_MIN_CORRECTED = 4  # minimum number of characters of a word that is corrected
_MAX_CORRECTIONS = 3  # maximum number of corrections of one word
_LONGEST = 24  # maximum number of characters of a word that is corrected


class Typos:
    """Corrects words by one edit: insert, delete or replace a character, or swap two neighbours.

    The first character must be right, inserted or swapped. So a correction compares a word only
    with the words that begin with its first or second character.
    """

    def __init__(self, words: Sequence[str], scores: Sequence[float]) -> None:
        """Group words by their first character.

        Args:
            words: The words of suggestions, each once.
            scores: How often suggestions with the word are used.
        """
        self._by_first: dict[str, dict[str, float]] = {}
        for word, score in zip(words, scores, strict=True):
            self._by_first.setdefault(word[:1], {})[word] = score
        self._beginnings: dict[tuple[str, int], dict[str, float]] = {}

    def __contains__(self, word: str) -> bool:
        return word in self._words(word[:1])

    def corrections(self, word: str, is_finished: bool) -> tuple[str, ...]:
        """Return the corrections of a word, the most used first; () for a short or known word.

        Args:
            word: The word, or the beginning of a word.
            is_finished: Whether the word is complete; False: corrections are beginnings of words.
        """
        if not _MIN_CORRECTED <= len(word) <= _LONGEST or not word.isalpha():
            return ()
        best: dict[str, float] = {}
        for first in {word[0], word[1]}:
            lengths = range(len(word) - 1, len(word) + 2)
            for known in (
                [self._words(first)] if is_finished else [self._cut(first, n) for n in lengths]
            ):
                matches = extract(
                    word, known.keys(), scorer=OSA.distance, score_cutoff=1, limit=None
                )
                best |= {match: known[match] for match, *_ in matches}
        best.pop(word, None)
        return tuple(sorted(best, key=lambda match: (-best[match], match))[:_MAX_CORRECTIONS])

    def begins_a_word(self, beginning: str) -> bool:
        """Return whether a word begins with a text."""
        return beginning in self._cut(beginning[0], len(beginning))

    def _words(self, first: str) -> Mapping[str, float]:
        """Return the words that begin with a character."""
        return self._by_first.get(first, {})

    def _cut(self, first: str, length: int) -> Mapping[str, float]:
        """Return the distinct beginnings of some length, of the words that begin with a character.

        The score of a beginning is the sum of the scores of its words.
        """
        if first not in self._by_first or length > _LONGEST:
            return {}  # not stored, because a caller chooses these values
        if (first, length) not in self._beginnings:
            sums: dict[str, float] = {}
            for word, score in self._words(first).items():
                if len(word) >= length:
                    sums[word[:length]] = sums.get(word[:length], 0.0) + score
            self._beginnings[first, length] = sums
        return self._beginnings[first, length]
