"""From candidates to a ranked list: signals, the reranker's scores, and one falling order."""

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

# The score of the first item behind the reranked ones lies this far below the last of them.
_GAP = 1e-3


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

    @classmethod
    def open(cls, directory: Path, catalogue: Catalogue, as_of: date | None) -> "SignalSource":
        """Open the files that signals come from.

        Args:
            directory: A bundle, or the `index` step of a training run.
            catalogue: The items of the bundle.
            as_of: The day that ages count to.
        """
        return cls(catalogue, LexicalIndex.open(directory / bundle.LEXICAL), as_of)

    def gather(
        self,
        query: str,
        rows: Int32[np.ndarray, "candidates"],
        cosines: Float32[np.ndarray, "candidates"],
    ) -> Candidates:
        """Collect what `feature_matrix` computes the candidates' features from."""
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


def rerank_order(
    scores: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> tuple[Int64[np.ndarray, "head"], Float32[np.ndarray, "items"]]:
    """Order the reranked head by score and leave the tail behind it in stage 1's order.

    Args:
        scores: Scores of the first candidates, in any order.
        tail: Stage 1's scores of the others, falling.

    Returns:
        The order of the head (equal scores stay in stage 1's order), and scores that fall along
        the whole list: those of the head, and stage 1's moved below the last of them in the tail.
    """
    order = np.argsort(-scores, kind="stable")
    head = scores[order]
    return order, np.concatenate([head, scores_behind(head, tail)]).astype(np.float32)


def scores_behind(
    head: Float32[np.ndarray, "head"], tail: Float32[np.ndarray, "tail"]
) -> Float32[np.ndarray, "tail"]:
    """The falling scores of a tail, moved as a whole below those of the list it comes behind."""
    if not len(head) or not len(tail):
        return tail
    moved: Float32[np.ndarray, "tail"] = tail - tail[0] + head[-1] - np.float32(_GAP)
    return moved
