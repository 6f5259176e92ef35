"""Find the known words that differ from a mistyped word by few edits.

An edit inserts, deletes or replaces a character, or swaps two neighbours. All swaps of a word are
looked up. Any other edit leaves the first or the second half of a word intact. So only words of
nearly the same length that share one half are compared. Two edits are searched only in long words,
if no word needs one edit. They leave the first, middle or last third intact; words that share only
the middle are not found.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

MIN_LENGTH = 3  # minimum number of characters of a word that is corrected
_MIN_KNOWN = 4  # minimum number of characters of a correction
_MIN_TWO_EDITS = 8  # minimum number of characters of a word that is corrected by two edits
_CACHED = 8_192  # maximum number of words whose neighbours are cached
_LAST = chr(0x10FFFF)


class NearWords:
    """Searches a fixed list of words. Safe to use from several threads."""

    def __init__(self, words: Collection[str]) -> None:
        """Group words by their length; a group is sorted when it is searched first.

        Args:
            words: Distinct words, in a collection that finds a word fast.
        """
        self._words = words
        self._groups: dict[int, list[str]] = {}
        for word in words:
            self._groups.setdefault(len(word), []).append(word)
        # For each length: the words in the order of their beginnings, and read backwards.
        self._sorted: dict[int, tuple[list[str], list[str]]] = {}
        self.find = lru_cache(_CACHED)(self._find)

    def warm_up(self) -> None:
        """Sort all groups."""
        for length in self._groups:
            self._sorted_of(length)

    def _find(self, word: str) -> Mapping[str, int]:
        """Return the words near a word, each with its number of edits; without the word itself."""
        if len(word) < MIN_LENGTH:
            return {}
        near = self._within(word, 1, lambda length: max(length, len(word)) // 2)
        for i in range(len(word) - 1):
            swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
            if len(word) >= _MIN_KNOWN and swapped in self._words:
                near[swapped] = 1
        if not near and len(word) >= _MIN_TWO_EDITS:
            near = self._within(word, 2, lambda _: max(_MIN_KNOWN - 1, len(word) // 3))
        near.pop(word, None)
        return near

    def _within(self, word: str, edits: int, intact: Callable[[int], int]) -> dict[str, int]:
        """Return the words within some edits that share a beginning or an end.

        Args:
            word: The mistyped word.
            edits: Maximum number of edits.
            intact: Returns how many characters words of a length share.
        """
        near: dict[str, int] = {}
        reverse = word[::-1]
        for length in range(max(len(word) - edits, _MIN_KNOWN), len(word) + edits + 1):
            forwards, backwards = self._sorted_of(length)
            shared = intact(length)
            near |= _distances(word, _with_prefix(forwards, word[:shared]), edits)
            alike = _distances(reverse, _with_prefix(backwards, reverse[:shared]), edits)
            near |= {known[::-1]: distance for known, distance in alike.items()}
        return near

    def _sorted_of(self, length: int) -> tuple[list[str], list[str]]:
        """Return the words of a length, sorted, and the same words read backwards, sorted."""
        if length not in self._sorted:  # two threads may both sort; their results are equal
            words = self._groups.get(length, [])
            self._sorted[length] = sorted(words), sorted(word[::-1] for word in words)
        return self._sorted[length]


def _distances(word: str, others: Sequence[str], edits: int) -> dict[str, int]:
    """Return the words within some edits of a word, each with its number of edits."""
    matches = extract(word, others, scorer=OSA.distance, score_cutoff=edits, limit=None)
    return {match: int(distance) for match, distance, _ in matches}


def _with_prefix(words: Sequence[str], prefix: str) -> Sequence[str]:
    """Return the words of a sorted list that begin with a prefix."""
    start = bisect_left(words, prefix)
    return words[start : bisect_left(words, prefix + _LAST, lo=start)]
