"""The data from which the reranker's features are computed."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from catalog.catalogue import Catalogue
from catalog.fields import value_of
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from rerank.features import Candidates, unknown
from search import bundle


@dataclass(frozen=True)
class SignalSource:
    """The data from which the features of items are computed.

    Attributes:
        catalogue: The items.
        lexical: The lexical index of the items; None for items that are not indexed.
        as_of: The day on which item ages are computed; None makes ages unknown.
    """

    catalogue: Catalogue
    lexical: LexicalIndex | None
    as_of: date | None

    @classmethod
    def open(
        cls,
        directory: Path,
        catalogue: Catalogue,
        as_of: date | None,
        lexical: LexicalIndex | None = None,
    ) -> "SignalSource":
        """Create a source from the files of a directory.

        Args:
            directory: A bundle, or the `index` step of a training run.
            catalogue: The indexed items.
            as_of: The day on which item ages are computed; None makes ages unknown.
            lexical: The lexical index of the directory; None opens it here.
        """
        return cls(catalogue, lexical or LexicalIndex.open(directory / bundle.LEXICAL), as_of)

    def gather(
        self,
        query: str,
        rows: Int32[np.ndarray, "candidates"],
        cosines: Float32[np.ndarray, "candidates"],
    ) -> Candidates:
        """Return candidates with their channel scores, for `feature_matrix`."""
        scores = {
            "dense": cosines.astype(np.float32),
            "lexical": unknown(len(rows))
            if self.lexical is None
            else lexical_shares(self.lexical, query, rows),
        }
        return Candidates(query, rows, self.catalogue, scores, self.as_of)


def lexical_shares(
    lexical: LexicalIndex, query: str, rows: Int32[np.ndarray, "candidates"]
) -> Float32[np.ndarray, "candidates"]:
    """Divide the BM25 of each item by the best BM25 in the index; 0 if no item matches.

    The share depends only on query and item, not on the other candidates.
    """
    shares: Float32[np.ndarray, "candidates"] = np.zeros(len(rows), np.float32)
    if len(rows):
        _, best = lexical.search(query, 1)
        if len(best):
            shares = lexical.scores(query, rows) / best[0]
    return shares


def newest_release(store: ItemStore) -> date | None:
    """Return the release date of the newest item; None without dates.

    Item ages are computed for this day, so the answers of a bundle do not change from day to day.
    """
    days = store.number("released")
    if np.isnan(days).all():
        return None
    newest = value_of("released", float(np.nanmax(days)))
    assert isinstance(newest, date)
    return newest
