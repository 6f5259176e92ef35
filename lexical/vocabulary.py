"""Complete and correct unknown words of a query, with terms of the catalogue."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from lexical.han_sounds import HanSounds

GUESS_WEIGHT = 0.8  # weight of a guessed term; a term of the query itself has weight 1
_MAX_GUESSES = 3  # maximum number of guesses per term
_MIN_PREFIX = 3  # minimum number of characters of a term that is completed
_MIN_CORRECTED = 4  # minimum number of characters of a term that is corrected
_MIN_NUMBER = 6  # minimum digits of a number that is corrected; short numbers are rarely typos
_MIN_TWO_EDITS = 8  # minimum number of characters of a term that is corrected by two edits
# Power of the similarity of a correction in its plausibility. Chosen on Home Depot's `train` and
# `dev` queries.
_SIMILARITY_POWER = 4
_CACHED = 4_096  # maximum number of terms whose corrections are cached


class Vocabulary:
    """The terms of a catalogue, with the number of items that have each term."""

    def __init__(self, counts: Mapping[str, int], base: "Vocabulary | None" = None) -> None:
        """Store terms, each with its number of items.

        Args:
            counts: Number of items by term.
            base: A vocabulary that these terms extend; no term may be in both.
        """
        self._counts = counts
        self._base = base
        self._sorted = sorted(counts)
        self._terms = list(counts)
        # Cache a partial, not a method: a method's cache would keep the vocabulary in memory.
        corrections = partial(_find_corrections, self._terms, base._corrections if base else None)
        self._corrections: Callable[[str], list[tuple[str, int]]] = lru_cache(_CACHED)(corrections)

    def extended(self, counts: Mapping[str, int]) -> "Vocabulary":
        """Return a vocabulary with more terms; counts of the base's terms do not change."""
        base = self._base or self
        new = {term: count for term, count in counts.items() if term not in base}
        if self._base:
            new = {
                **self._counts,
                **{term: self._counts.get(term, 0) + count for term, count in new.items()},
            }
        return Vocabulary(new, base)

    @cached_property
    def han_sounds(self) -> HanSounds:
        """The Han characters and pairs of the catalogue, by their pinyin."""
        return HanSounds(self._counts, self._base.han_sounds if self._base else None)

    def __contains__(self, term: str) -> bool:
        return self.count(term) > 0

    def guesses(self, term: str, *, is_prefix: bool) -> list[str]:
        """Guess which terms of the catalogue an unknown term stands for.

        Args:
            term: A term that is not in the catalogue.
            is_prefix: Whether the term may be the beginning of a word. If so, completions come
                before corrections.

        Returns:
            At most 3 terms, ordered by their number of items. They are completions or, if there
            are none, the terms that need the fewest edits. An edit inserts, deletes or replaces a
            character, or swaps two neighbouring characters. Only long terms may have two edits.
        """
        if is_prefix and len(term) >= _MIN_PREFIX:
            completions = self._completions(term)
            if completions:
                return completions
        corrections = self._corrections(term)
        fewest = min((edits for _, edits in corrections), default=0)
        return self._most_common([known for known, edits in corrections if edits == fewest])

    def plausibility(self, term: str, frequent: float) -> float:
        """Return how plausible it is that a term stands for a term of the catalogue, from 0 to 1.

        The result is 1 for a term of the catalogue, and 0 for a term without corrections. A
        correction is the more plausible, the more similar and the more frequent it is: a short term
        often resembles another word by chance, and a typo is rarely one of a rare word.

        Args:
            term: A term.
            frequent: The number of items from which the frequency of a correction counts fully.
        """
        if term in self:
            return 1.0
        return max(
            (
                OSA.normalized_similarity(term, known) ** _SIMILARITY_POWER
                * min(1.0, math.log1p(self.count(known)) / math.log1p(frequent))
                for known in self.guesses(term, is_prefix=False)
            ),
            default=0.0,
        )

    def _completions(self, prefix: str) -> list[str]:
        start = bisect_left(self._sorted, prefix)
        stop = bisect_left(self._sorted, prefix + chr(0x10FFFF), lo=start)
        of_base = self._base._completions(prefix) if self._base else []
        return self._most_common(of_base + self._sorted[start:stop])

    def _most_common(self, terms: list[str]) -> list[str]:
        return sorted(terms, key=lambda term: (-self.count(term), term))[:_MAX_GUESSES]

    def count(self, term: str) -> int:
        """Return the number of items that have a term."""
        return self._counts.get(term) or (self._base.count(term) if self._base else 0)


def _find_corrections(
    terms: Sequence[str], of_base: Callable[[str], list[tuple[str, int]]] | None, term: str
) -> list[tuple[str, int]]:
    """Find the known terms that differ from `term` by few edits, each with its number of edits."""
    if len(term) < (_MIN_NUMBER if term.isdigit() else _MIN_CORRECTED):
        return []
    max_edits = 2 if len(term) >= _MIN_TWO_EDITS and not term.isdigit() else 1
    matches = extract(term, terms, scorer=OSA.distance, score_cutoff=max_edits, limit=None)
    corrections = [(known, int(edits)) for known, edits, _ in matches]
    return (of_base(term) if of_base else []) + corrections
