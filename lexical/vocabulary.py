"""What a word of a query was meant to be, from the catalogue's own words."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

MEANT_WEIGHT = 0.8  # what a match of a guess is worth beside one of a word as typed
_GUESSES = 3  # most guesses at one word
_LEAST_PREFIX = 3  # characters of a word that is completed
_LEAST_CORRECTED = 4  # characters of a word that is corrected
_TWO_EDITS_FROM = 8  # characters of a word that two edits are forgiven
_LEAST_NUMBER = 6  # digits of a bare number that is corrected: short ones mean what they say
_REMEMBERED = 4_096  # words whose meaning is kept


class Vocabulary:
    """The terms of a catalogue, and how many items have each."""

    def __init__(self, counts: Mapping[str, int], before: "Vocabulary | None" = None) -> None:
        """Take the terms with their numbers of items, and those of a vocabulary before."""
        self._own = counts
        self._before = before
        self._sorted = sorted(counts)
        self._terms = list(counts)
        # Not a method: remembered by what it belongs to, it would keep it alive.
        near = partial(_find_near, self._terms, before._near if before else None)
        self._near: Callable[[str], list[tuple[str, int]]] = lru_cache(_REMEMBERED)(near)

    def extended(self, counts: Mapping[str, int]) -> "Vocabulary":
        """The same with more terms; those that it has already keep their numbers of items."""
        first = self._before or self
        new = {term: count for term, count in counts.items() if term not in first}
        if self._before:
            new = {**self._own, **{term: self._own.get(term, 0) + n for term, n in new.items()}}
        own = new
        return Vocabulary(own, first)

    def __contains__(self, term: str) -> bool:
        return self._count(term) > 0

    def meant(self, term: str, *, unfinished: bool) -> list[str]:
        """Terms of the catalogue that an unknown term may stand for, likeliest first; at most 3.

        Args:
            term: A term that is not in the catalogue.
            unfinished: Whether it may be the beginning of a word; then completions come first.

        Returns:
            Completions by number of items, else the terms that the fewest edits lead to (insert,
            delete, replace, swap neighbours; one of them, two in long words), else nothing.
        """
        if unfinished and len(term) >= _LEAST_PREFIX:
            completed = self._completed(term)
            if completed:
                return completed
        near = self._near(term)
        least = min((edits for _, edits in near), default=0)
        return self._commonest([found for found, edits in near if edits == least])

    def _completed(self, prefix: str) -> list[str]:
        begin = bisect_left(self._sorted, prefix)
        end = bisect_left(self._sorted, prefix + chr(0x10FFFF), lo=begin)
        before = self._before._completed(prefix) if self._before else []
        return self._commonest(before + self._sorted[begin:end])

    def _commonest(self, terms: list[str]) -> list[str]:
        return sorted(terms, key=lambda term: (-self._count(term), term))[:_GUESSES]

    def _count(self, term: str) -> int:
        return self._own.get(term) or (self._before._count(term) if self._before else 0)


def _find_near(
    terms: Sequence[str], before: Callable[[str], list[tuple[str, int]]] | None, term: str
) -> list[tuple[str, int]]:
    """The terms that a term may be a misspelling of, with the edits that lead there."""
    if len(term) < (_LEAST_NUMBER if term.isdigit() else _LEAST_CORRECTED):
        return []
    edits = 2 if len(term) >= _TWO_EDITS_FROM and not term.isdigit() else 1
    near = extract(term, terms, scorer=OSA.distance, score_cutoff=edits, limit=None)
    found = [(known, int(distance)) for known, distance, _ in near]
    return (before(term) if before else []) + found
