"""What an analyser is: a row of the table in `lexical.analysers`."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import tantivy


def normalise(text: str) -> str:
    """Compose characters and drop what is not valid UTF-8.

    The tokenizer would split a word at a detached accent, and Rust accepts no lone surrogates.
    """
    return unicodedata.normalize("NFKC", text).encode("utf-8", "ignore").decode("utf-8")


@dataclass(frozen=True)
class Analyser:
    """How texts of items and queries become terms.

    Attributes:
        name: The name in a `LexicalConfig`.
        tokenizer_name: The tokenizer's name in tantivy's schema. Change it whenever the terms of
            some text change: then indexes built before are refused instead of misread.
        build_tokenizer: Make the tokenizer with its filters.
        prepare: Rewrite a text for the tokenizer. The result is `normalise`d.
    """

    name: str
    tokenizer_name: str
    build_tokenizer: Callable[[], tantivy.TextAnalyzer]
    prepare: Callable[[str], str] = normalise
