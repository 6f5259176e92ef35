"""From candidates to a ranked list: signals, the reranker's scores, and one falling order."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from jaxtyping import Float32, Int32

from catalog.catalogue import Catalogue
from catalog.fields import number_of, value_of
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from rerank.features import Signals, title_overlap


@dataclass(frozen=True)
class SignalSource:
    """Where the signals of catalogue items come from.

    Attributes:
        catalogue: The items.
        lexical: Their lexical index; None for items that are in none.
        as_of: The day that ages count to; None leaves ages unknown.
    """

    catalogue: Catalogue
    lexical: LexicalIndex | None
    as_of: date | None

    def gather(
        self,
        query: str,
        rows: Int32[np.ndarray, "candidates"],
        cosines: Float32[np.ndarray, "candidates"],
    ) -> Signals:
        """Everything the reranker's features are computed from."""
        titles = [title or "" for title in self.catalogue.texts("title", rows)]
        return Signals(
            cosine=cosines.astype(np.float32),
            lexical=np.full(len(rows), np.nan, np.float32)
            if self.lexical is None
            else lexical_shares(self.lexical, query, rows),
            overlap=title_overlap(query, titles),
            price=self.catalogue.numbers("price", rows),
            rating=self.catalogue.numbers("rating", rows),
            rating_count=self.catalogue.numbers("rating_count", rows),
            age=self._ages(rows),
            in_stock=self.catalogue.numbers("in_stock", rows),
        )

    def _ages(self, rows: Int32[np.ndarray, "candidates"]) -> Float32[np.ndarray, "candidates"]:
        if self.as_of is None:
            return np.full(len(rows), np.nan, np.float32)
        today = np.float32(number_of(self.as_of))
        ages: Float32[np.ndarray, "candidates"] = today - self.catalogue.numbers("released", rows)
        np.maximum(ages, 0, out=ages)
        return ages


def lexical_shares(
    lexical: LexicalIndex, query: str, rows: Int32[np.ndarray, "candidates"]
) -> Float32[np.ndarray, "candidates"]:
    """BM25 of each item over the best BM25 any item has; 0 where no item matches.

    The share depends on query and item alone, not on the other candidates.
    """
    shares: Float32[np.ndarray, "candidates"] = np.zeros(len(rows), np.float32)
    if len(rows):
        _, best = lexical.search(query, 1)
        if len(best):
            shares = lexical.scores(query, rows) / best[0]
    return shares


def newest_release(store: ItemStore) -> date | None:
    """The day the newest item came out: what ages are counted to, so that a bundle never ages."""
    days = store.number("released")
    if np.isnan(days).all():
        return None
    newest = value_of("released", float(np.nanmax(days)))
    assert isinstance(newest, date)
    return newest
