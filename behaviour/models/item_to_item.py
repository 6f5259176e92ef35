"""Item-to-item models: the score of an item is a weighted sum over the items of a history.

A model of this kind needs nothing of a user but the history, so new users and new events count at
once. EASE, co-occurrence, the Markov counter and similar titles make such models.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from behaviour.interactions import Interactions
from behaviour.models.arrays import open_arrays, open_sparse, sparse_arrays, write_arrays
from behaviour.signals import type_factors


@dataclass(frozen=True)
class HistoryDecay:
    """How much each event of a history counts; only the strongest event of an item counts.

    With both half-lives, the two factors are multiplied.
    """

    half_life_days: float | None = None  # age at which an event counts one half; None: no decay
    # number of later sessions at which an event counts one half; None: no decay
    half_life_sessions: float | None = None

    def matrix(self, histories: Interactions, now: int) -> sparse.csr_matrix:
        """Return the histories × items matrix of the weights of events, as float32."""
        weights = histories.decay(now, self.half_life_days) * type_factors(histories, now)
        if self.half_life_sessions is not None:
            back = histories.sessions_back() / np.float32(self.half_life_sessions)
            weights = (weights * np.exp2(-back)).astype(np.float32)
        return histories.weighed(weights, strongest=True)


@dataclass(frozen=True)
class ItemToItem:
    """A sparse matrix of weights between items, and the decay of histories.

    Attributes:
        weights: The weight of the history's item (row) for the scored item (column), as float32.
        decay: How much each event of a history counts.
    """

    weights: sparse.csr_matrix
    decay: HistoryDecay

    def scores(
        self, histories: Interactions, now: int, added: sparse.csr_matrix | None = None
    ) -> Float32[np.ndarray, "users items"]:
        """Score all items for each history at a time, in seconds since 1970.

        Args:
            histories: The histories.
            now: The time at which an event has age 0.
            added: For each item that is new to the model, the weights of the model's items that
                count instead, see `text_fill`; the new items have the last rows.
        """
        weights = self.decay.matrix(histories, now)
        if added is None:
            return np.asarray((weights @ self.weights).toarray(), np.float32)
        items = added.shape[1]
        weights = weights[:, :items] + weights[:, items:] @ added
        scores = (weights @ self.weights).toarray()
        return np.hstack([scores, (added @ scores.T).T]).astype(np.float32)

    def with_fill(self, fill: sparse.csr_matrix) -> "ItemToItem":
        """Give items without events the scores of items with similar texts; see `text_fill`."""
        return ItemToItem((self.weights + self.weights @ fill.T).tocsr(), self.decay)

    def save(self, path: Path) -> None:
        """Write the model to a file."""
        half_lives = (self.decay.half_life_days, self.decay.half_life_sessions)
        stored = np.array([0.0 if value is None else value for value in half_lives])
        write_arrays(path, {**sparse_arrays(self.weights), "half_lives": stored})

    @classmethod
    def open(cls, path: Path, items: int) -> "ItemToItem":
        """Open a model of a catalogue with a number of items.

        Raises:
            InputError: the file is damaged, or has another number of items.
        """
        shapes = {"data": (None,), "columns": (None,), "starts": (items + 1,), "half_lives": (2,)}
        arrays = open_arrays(path, shapes)
        days, sessions = (float(value) or None for value in arrays["half_lives"])
        return cls(open_sparse(path, arrays, items), HistoryDecay(days, sessions))


def largest_of_rows(weights: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """Keep the `most` largest absolute values of each row of a sparse matrix, as float32."""
    weights = weights.astype(np.float32)
    weights.eliminate_zeros()
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    order = np.lexsort((-np.abs(weights.data), rows))
    rank = np.arange(len(rows)) - weights.indptr[rows]
    kept = np.sort(order[rank < most])
    entries = (weights.data[kept], (rows[kept], weights.indices[kept]))
    return sparse.csr_matrix(entries, weights.shape)


def scaled(
    matrix: sparse.csr_matrix,
    rows: Float32[np.ndarray, " rows"],
    row_exponent: float,
    columns: Float32[np.ndarray, " columns"],
    column_exponent: float,
) -> sparse.csr_matrix:
    """Divide each element by powers of its row's and its column's size; sizes of 0 count as 1."""
    left = sparse.diags(np.where(rows == 0, 1, rows).astype(np.float32) ** -row_exponent)
    right = sparse.diags(np.where(columns == 0, 1, columns).astype(np.float32) ** -column_exponent)
    return (left @ matrix @ right).tocsr()


def sums(matrix: sparse.csr_matrix, axis: int) -> Float32[np.ndarray, " sums"]:
    """Return the sums of a sparse matrix over an axis."""
    return np.asarray(matrix.sum(axis=axis), np.float32).ravel()
