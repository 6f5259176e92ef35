"""The fixed baseline of every evaluation: bm25s with its defaults, independent of `lexical`.

The defaults of bm25s are the method "lucene", k1 = 1.5 and b = 0.75. The baseline drops English
stop words and does not stem. Title, brand and description have equal weight.
"""

import bm25s
import numpy as np
from jaxtyping import Float32, Int

from catalog.store import ItemStore

_COLUMNS = ("title", "brand", "description")


class Bm25:
    """The fixed BM25 over the items of one store."""

    def __init__(self, store: ItemStore) -> None:
        columns = [store.text(column) for column in _COLUMNS]
        texts = [" ".join(text for text in row if text) for row in zip(*columns, strict=True)]
        self._items = len(texts)
        terms = _terms(texts)
        self._model = bm25s.BM25(backend="numpy") if any(terms) else None
        if self._model is not None:  # bm25s cannot index texts without terms
            self._model.index(terms, show_progress=False)

    def scores(self, query: str) -> Float32[np.ndarray, "items"]:
        """Score every item, by row; 0 if the item contains no term of the query."""
        terms = _terms([query])[0]
        if not terms or self._model is None:
            return np.zeros(self._items, np.float32)
        return np.asarray(self._model.get_scores(terms), np.float32)


def best_rows(
    scores: Float32[np.ndarray, "items"], k: int, ties: Int[np.ndarray, "items"]
) -> Int[np.ndarray, "n"]:
    """Return the rows of the `k` highest scores above 0; equal scores are ordered by `ties`."""
    rows = np.flatnonzero(scores > 0)
    return rows[np.lexsort((ties[rows], -scores[rows]))[:k]]


def _terms(texts: list[str]) -> list[list[str]]:
    terms: list[list[str]] = bm25s.tokenize(
        texts, stopwords="en", return_ids=False, show_progress=False
    )
    return terms
