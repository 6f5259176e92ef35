"""Read the term dictionary of tantivy: the terms of each field, with their numbers of items."""

from collections import Counter
from pathlib import Path

import tantivy

from base.errors import InputError
from base.untrusted import limits
from lexical.schema import LANGUAGE, PINYIN, IndexSchema
from lexical.vocabulary import Vocabulary

_FIRST_TERMS = 4_096  # number of terms to read from a dictionary before most of it is read
_MAX_LANGUAGES = 8  # maximum number of languages in which a query is read


def read_vocabulary(searcher: tantivy.Searcher, schema: IndexSchema, directory: Path) -> Vocabulary:
    """Read the terms of all weighted fields of the index in `directory`.

    Raises:
        InputError: a field has more terms than the files can hold, or a term is too long.
    """
    size = sum(path.stat().st_size for path in directory.iterdir())
    counts: Counter[str] = Counter()
    for field in schema.weights:
        try:
            counts.update(_terms(searcher, field, size // limits.BYTES_PER_TERM))
        except ValueError as error:
            raise InputError(f"{directory}: the field {field} has {error}") from None
    return Vocabulary(counts)


def has_sound(searcher: tantivy.Searcher, schema: IndexSchema, term: str) -> bool:
    """Return whether items have a term of pinyin."""
    return schema.by_language and searcher.doc_freq(PINYIN, term) > 0


def read_languages(searcher: tantivy.Searcher, schema: IndexSchema) -> list[str]:
    """Return the languages of Latin letters that items have, the most common first."""
    default = schema.language("")
    if not schema.by_language:
        return [default]
    held = dict(searcher.terms_with_prefix(LANGUAGE, "", limit=_FIRST_TERMS))
    by_count = sorted(held, key=lambda language: (-held[language], language))
    return by_count[:_MAX_LANGUAGES] or [default]


def _terms(searcher: tantivy.Searcher, field: str, most: int) -> dict[str, int]:
    """Return the terms of a field, each with its number of items.

    A dictionary of some kilobytes can have any number of long terms. So read a few terms first, and
    then four times as many in each step.

    Raises:
        ValueError: there are more than `most` terms, or a term is too long.
    """
    limit = _FIRST_TERMS
    while True:
        terms = dict(searcher.terms_with_prefix(field, "", limit=limit))
        if len(terms) > most:
            raise ValueError(f"more than {most:,} terms, which is too many for its files")
        if max(map(len, terms), default=0) > limits.TERM_CHARACTERS:
            raise ValueError(f"a term of more than {limits.TERM_CHARACTERS} characters")
        if len(terms) < limit:
            return terms
        limit *= 4
