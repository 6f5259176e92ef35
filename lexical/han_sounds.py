"""Han text for pinyin: the words of a catalogue that sound like typed syllables."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from lexical.analysers import cjk

_GAP = -4.0  # score of two neighbouring characters that are no pair of the catalogue


class HanSounds:
    """The Han characters of a catalogue and their pairs, by their pinyin without tones."""

    def __init__(self, counts: Mapping[str, int], base: "HanSounds | None" = None) -> None:
        """Collect the characters and pairs among terms.

        Args:
            counts: Number of items by term.
            base: The sounds of other terms.
        """
        self._base = base
        self._terms: dict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
        for term, count in counts.items():
            if cjk.is_han(term):
                self._terms[cjk.syllables(term)][term] = count

    def text(self, syllables: Sequence[str]) -> tuple[str, float]:
        """Return the most common Han text of some syllables, and its probability.

        The text is the best chain of pairs, in which neighbouring pairs share a character (Viterbi,
        1967). The score of a pair is the logarithm of its number of items. The probability is the
        smallest share that a pair of the text has among all pairs of the same sound.

        Returns:
            The text; "" if a syllable has no character.
        """
        chains: dict[str, tuple[float, str]] = {"": (0.0, "")}  # by last character: score and text
        for position, syllable in enumerate(syllables):
            gap, text_before = max(chains.values())
            # Any character of the sound can follow, but a pair is better.
            following = {
                character: (gap + _GAP + math.log1p(count) / 100, text_before + character)
                for character, count in self._of(syllable).items()
            }
            if position:
                for pair, count in self._of(syllables[position - 1], syllable).items():
                    first, last = pair[0], pair[1]
                    if first in chains:
                        score, text = chains[first]
                        chain = (score + math.log1p(count), text + last)
                        following[last] = max(following.get(last, chain), chain)
            if not following:
                return "", 0.0
            chains = following
        text = max(chains.values())[1]
        return text, min((self._share(text, i, syllables) for i in range(len(text))), default=0.0)

    def _share(self, text: str, position: int, syllables: Sequence[str]) -> float:
        """Return the share of the pair that begins at a position among all pairs of its sound."""
        end = min(position + 2, len(text))
        counts = self._of(*syllables[position:end])
        if end - position == 1 and len(text) > 1:
            return 1.0  # the last character is part of the pair before it
        return counts.get(text[position:end], 0) / max(sum(counts.values()), 1)

    def _of(self, *syllables: str) -> Mapping[str, int]:
        """Return the characters or pairs of a sound, each with its number of items."""
        own = self._terms.get(syllables, {})
        return {**self._base._of(*syllables), **own} if self._base else own
