"""Inputs of the reranker's features, and the order of results from its scores."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.fields import value_of
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from rerank.features import Candidates, unknown
from search import bundle

# Distance between the scores of the last reranked item and the first item behind it.
_GAP = 1e-3


@dataclass(frozen=True)
class SignalSource:
    """The data that features of catalogue items are computed from.

    Attributes:
        catalogue: The items.
        lexical: Their lexical index; None for items that are not indexed.
        as_of: The day that ages are counted to; None makes ages unknown.
    """

    catalogue: Catalogue
    lexical: LexicalIndex | None
    as_of: date | None

    @classmethod
    def open(cls, directory: Path, catalogue: Catalogue, as_of: date | None) -> "SignalSource":
        """Open the lexical index of a directory.

        Args:
            directory: A bundle, or the `index` step of a training run.
            catalogue: The indexed items.
            as_of: The day that ages are counted to.
        """
        return cls(catalogue, LexicalIndex.open(directory / bundle.LEXICAL), as_of)

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

    Ages are counted to this day, so the answers of a bundle do not change from day to day.
    """
    days = store.number("released")
    if np.isnan(days).all():
        return None
    newest = value_of("released", float(np.nanmax(days)))
    assert isinstance(newest, date)
    return newest


def rerank_order(
    scores: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> tuple[Int64[np.ndarray, "head"], Float32[np.ndarray, "items"]]:
    """Order the reranked head by score, and keep the tail behind it in order of recall.

    Args:
        scores: Reranker's scores of the first candidates, in order of recall.
        tail: Recall scores of the other candidates, falling.

    Returns:
        The order of the head, in which equal scores stay in order of recall, and the scores of the
        whole list, falling: those of the head, then those of `scores_behind`.
    """
    order = np.argsort(-scores, kind="stable")
    head = scores[order]
    return order, np.concatenate([head, scores_behind(head, tail)]).astype(np.float32)


def scores_behind(
    head: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> Float32[np.ndarray, "tail"]:
    """Shift the falling scores of a tail below the last score of the head; keep their distances."""
    if not len(head) or not len(tail):
        return tail
    shifted: Float32[np.ndarray, "tail"] = tail - tail[0] + head[-1] - np.float32(_GAP)
    return shifted
