"""The type of an analyser; `lexical.analysers` lists all analysers."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import tantivy


def normalise(text: str) -> str:
    """Compose characters (NFKC), and drop characters that UTF-8 cannot encode.

    Without NFKC, the tokenizer would split a word at a separate accent. UTF-8 cannot encode lone
    surrogates, and Rust accepts only UTF-8.
    """
    return unicodedata.normalize("NFKC", text).encode("utf-8", "ignore").decode("utf-8")


@dataclass(frozen=True)
class Analyser:
    """The rules that turn texts of items and queries into terms.

    Attributes:
        name: The name in a `LexicalConfig`.
        tokenizer_name: The tokenizer's name in tantivy's schema. Change the name whenever the terms
            of any text change. Older indexes are then refused, instead of searched for wrong terms.
        build_tokenizer: Makes the tokenizer with its filters.
        prepare: Rewrites a text for the tokenizer, and applies `normalise`.
    """

    name: str
    tokenizer_name: str
    build_tokenizer: Callable[[], tantivy.TextAnalyzer]
    prepare: Callable[[str], str] = normalise
