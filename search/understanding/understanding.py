"""Turn a query into its interpretation, with the data of one catalogue."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from catalog.attribute_roles import AttributeRoles
from catalog.catalogue import Catalogue
from catalog.items import Item
from search.understanding.catalogue_values import CatalogueValues
from search.understanding.compounds import joined_words, split_words
from search.understanding.exclusions import exclusions_in
from search.understanding.interpretation import (
    Change,
    Exclusion,
    Interpretation,
    Limit,
    Rewrite,
    Understanding,
)
from search.understanding.limits import limits_in
from search.understanding.spelling import Speller
from search.understanding.stop_words import stop_words_in
from search.understanding.synonyms import NO_SYNONYMS, Synonyms
from search.understanding.words import Words, words_of

_CHUNK = re.compile(r"\S+")

IsWord = Callable[[str], bool]


@dataclass(frozen=True)
class QueryUnderstanding:
    """The data of one catalogue that a query is understood with. It never changes.

    Attributes:
        words: The words of the catalogue, for spelling.
        values: The values of fields.
        synonyms: The synonyms.
    """

    words: Words
    values: CatalogueValues
    synonyms: Synonyms = NO_SYNONYMS

    @classmethod
    def of(cls, catalogue: Catalogue, synonyms: Synonyms = NO_SYNONYMS) -> "QueryUnderstanding":
        """Collect the words and values of a catalogue."""
        return cls(Words.of(catalogue), CatalogueValues.of(catalogue), synonyms)

    def extended(self, items: Sequence[Item], roles: AttributeRoles) -> "QueryUnderstanding":
        """Return the understanding with the words and values of more items."""
        words = self.words.extended(map(roles.readable, items))
        return replace(self, words=words, values=self.values.extended(map(roles.filterable, items)))

    def interpret(
        self,
        typed: str,
        language: str,
        kinds: Understanding,
        is_indexed: IsWord,
        is_real: IsWord,
        has_prices: Callable[[], bool],
        pinyin_in: Callable[[str], Sequence[tuple[str, str, float]]],
        default_language: str,
    ) -> Interpretation:
        """Return what a query was understood as.

        Args:
            typed: The normalised query.
            language: The language of the request; "": not given.
            kinds: The kinds of understanding to apply.
            is_indexed: Whether the lexical index has a word in any form.
            is_real: Whether a word is a real word, whether or not the catalogue has it.
            has_prices: Whether an item has a price; without prices there are no limits.
            pinyin_in: Returns the pinyin in a text, each with its Han text and the probability.
            default_language: The language whose stop words are left out if the request has none.
        """
        language = language.partition("-")[0].lower()
        text, rewrites = typed, tuple[Rewrite, ...]()
        limits, exclusions = tuple[Limit, ...](), tuple[Exclusion, ...]()
        if kinds.limits:
            without, found = limits_in(text)
            if found and has_prices():
                text, limits = without or typed, found
        if kinds.exclusions:
            without, exclusions = exclusions_in(text, self._follows)
            text = without or text

        if kinds.spelling:
            for words, han, probability in pinyin_in(text):
                # Syllables inside of a Latin word are no pinyin.
                if at := re.search(rf"(?<![a-z]){re.escape(words)}(?![a-z])", text):
                    text = text[: at.start()] + han + text[at.end() :]
                    rewrites += (Rewrite(Change.PINYIN, words, han, probability, applied=True),)
        uncorrected = text
        speller = Speller(self.words, is_indexed, is_real)
        if kinds.compounds:
            text, joined = self._joined(text, speller.knows)
            rewrites += joined
        if kinds.spelling:
            text, corrections = _corrected(text, speller)
            rewrites += corrections
        if kinds.compounds:
            rewrites += tuple(split_words(self.words, words_of(text)))
        return Interpretation(
            typed,
            text,
            uncorrected,
            language,
            rewrites=rewrites,
            synonyms=self.synonyms.of(text, language) if kinds.synonyms else (),
            stop_words=(
                stop_words_in(text, language or default_language) if kinds.stop_words else ()
            ),
            limits=limits,
            exclusions=exclusions,
            values=self.values.of_text(text) if kinds.values else (),
        )

    def _follows(self, left: str, right: str) -> bool:
        """Return whether the catalogue has one word directly after another."""
        return self.words.pair_count(left, right) > 0

    def _joined(self, text: str, is_known: IsWord) -> tuple[str, tuple[Rewrite, ...]]:
        """Return the text with joined words, and the changes."""
        tokens = text.split()
        changes = dict(joined_words(self.words, tokens, is_known))
        for position, change in sorted(changes.items(), reverse=True):
            if change.applied:
                tokens[position : position + 2] = [change.replacement]
        return " ".join(tokens), tuple(changes.values())


def _corrected(text: str, speller: Speller) -> tuple[str, tuple[Rewrite, ...]]:
    """Return the text with sure corrections, and all corrections."""
    chunks = text.split()
    words = [
        # A code such as ab-1234 is no word, and neither is a part of it.
        (index, word)
        for index, chunk in enumerate(chunks)
        if not any(character.isdigit() for character in chunk)
        for word in words_of(chunk)
    ]
    corrections = speller.corrections([word for _, word in words])
    for position, correction in corrections.items():
        if correction.applied:
            index = words[position][0]
            chunks[index] = chunks[index].replace(correction.words, correction.replacement, 1)
    return " ".join(chunks), tuple(corrections.values())
