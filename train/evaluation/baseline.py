"""The fixed baselines of every evaluation: bm25s with its defaults, independent of `lexical`.

The defaults of bm25s are the method "lucene", k1 = 1.5 and b = 0.75. The baselines drop English
stop words. One baseline does not stem, and the other reduces words to their stems by the Snowball
algorithm for English. Title, brand and description have equal weight.
"""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import bm25s
import numpy as np
import tantivy
from jaxtyping import Float32, Int

from catalog.store import ItemStore

_COLUMNS = ("title", "brand", "description")


# Replaces each word of a list by its stem.
Stemmer: TypeAlias = Callable[[list[str]], list[str]]


class Bm25:
    """A fixed BM25 over the items of one store."""

    def __init__(self, store: ItemStore, stemmer: Stemmer | None = None) -> None:
        self._stemmer = stemmer
        columns = [store.text(column) for column in _COLUMNS]
        texts = [" ".join(text for text in row if text) for row in zip(*columns, strict=True)]
        self._items = len(texts)
        terms = self._terms(texts)
        self._model = bm25s.BM25(backend="numpy") if any(terms) else None
        if self._model is not None:  # bm25s cannot index texts without terms
            self._model.index(terms, show_progress=False)

    def scores(self, query: str) -> Float32[np.ndarray, "items"]:
        """Score every item, by row; 0 if the item contains no term of the query."""
        terms = self._terms([query])[0]
        if not terms or self._model is None:
            return np.zeros(self._items, np.float32)
        return np.asarray(self._model.get_scores(terms), np.float32)

    def _terms(self, texts: list[str]) -> list[list[str]]:
        terms: list[list[str]] = bm25s.tokenize(
            texts, stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )
        return terms


def english_stemmer() -> Stemmer:
    """Return the Snowball stemmer for English, from tantivy."""
    stemming = tantivy.Filter.stemmer("english")
    analyser = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).filter(stemming).build()

    @cache
    def stem(word: str) -> str:
        return "".join(analyser.analyze(word))

    return lambda words: [stem(word) for word in words]


def best_rows(
    scores: Float32[np.ndarray, "items"], k: int, ties: Int[np.ndarray, "items"]
) -> Int[np.ndarray, "n"]:
    """Return the rows of the `k` highest scores above 0; equal scores are ordered by `ties`."""
    rows = np.flatnonzero(scores > 0)
    return rows[np.lexsort((ties[rows], -scores[rows]))[:k]]
