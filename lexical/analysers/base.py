"""The types of analysers; `lexical.analysers` lists all analysers."""

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

# Words of a catalogue by language, of which compounds consist.
Words: TypeAlias = Mapping[str, frozenset[str]]


def normalise(text: str) -> str:
    """Compose characters (NFKC), and drop characters that UTF-8 cannot encode.

    Without NFKC, the tokenizer would split a word at a separate accent. UTF-8 cannot encode lone
    surrogates, and Rust accepts only UTF-8.
    """
    return unicodedata.normalize("NFKC", text).encode("utf-8", "ignore").decode("utf-8")


class QueryWord(NamedTuple):
    """A word of a query.

    Attributes:
        text: The word in lower case.
        readings: The terms that the word stands for; several if it may be of several languages.
        weight: The weight of the terms in the score; lower if an item has the term `part_of`.
        is_word: Whether the word consists of letters or is a code, and so may be mistyped or
            unfinished; false for sizes, parts of words, and Chinese, Japanese and Korean.
        part_of: The term of the compound, size or dimensions of which the word is a part; "" for
            other words.
    """

    text: str
    readings: tuple[str, ...]
    weight: float = 1.0
    is_word: bool = True
    part_of: str = ""


class Reader(Protocol):
    """Turns texts of items and queries into terms. A term has no white space."""

    def language(self, language: str) -> str:
        """Return the language whose rules apply to a text of `language` ("": not known)."""

    def terms(self, text: str, language: str) -> list[str]:
        """Return the terms of an item's text, in order; a term may occur several times."""

    def surface_words(self, text: str, language: str) -> list[str]:
        """Return the words of an item's text that are stemmed, before they are."""

    def query_words(self, text: str, languages: Collection[str]) -> list[QueryWord]:
        """Return the words of a query, each read in all `languages`."""


@dataclass(frozen=True)
class Analyser:
    """The rules that turn texts of items and queries into terms.

    Attributes:
        name: The name in a `LexicalConfig`.
        tokenizer_name: The tokenizer's name in tantivy's schema. Change the name whenever the terms
            of any text change. Older indexes are then refused, instead of searched for wrong terms.
        open: Makes the reader, from the default language and the words of compounds.
        by_language: Whether the index also has the languages of its items and their pinyin.
    """

    name: str
    tokenizer_name: str
    open: Callable[[str, Words], Reader]
    by_language: bool
