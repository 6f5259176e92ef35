"""EASE: a linear autoencoder of users' items with a zero diagonal, in closed form."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32
from scipy import linalg, sparse

from base.errors import InputError
from behaviour.interactions import Interactions
from behaviour.models.item_to_item import HistoryDecay, ItemToItem, largest_of_rows, sums


@dataclass(frozen=True)
class EaseConfig:
    """Settings of EASE."""

    penalty: float = 100.0  # weight of the squared weights in the loss; above 0
    half_life_days: float | None = 30.0  # age at which a training event counts one half
    history: HistoryDecay = field(default_factory=lambda: HistoryDecay(half_life_days=90.0))
    # only the most frequent items have weights; the time to fit grows with the cube of this number
    max_items: int = 10_000
    neighbours: int = 500  # weights kept of each item, the largest absolute values


def fit_ease(interactions: Interactions, now: int, config: EaseConfig) -> ItemToItem:
    """Fit EASE on the events before `now` (seconds since 1970).

    With G = XᵀX + λI for the users × items matrix X of decayed events and P = G⁻¹, the weights are
    B_ij = -P_ij / P_jj outside the diagonal, which is 0. Items without events have no weights.

    Source: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019, arXiv 1905.03375).
    """
    events = interactions.before(now).matrix(now, config.half_life_days, strongest=True)
    size = sums(events, 0)
    most = min(config.max_items, int((size > 0).sum()))
    used = np.sort(np.argsort(-size, kind="stable")[:most])
    columns = events[:, used]
    weights = ease_weights((columns.T @ columns).toarray(), config.penalty)
    kept = largest_of_rows(sparse.csr_matrix(weights), config.neighbours).tocoo()
    entries = (kept.data, (used[kept.row], used[kept.col]))
    shape = (interactions.items, interactions.items)
    return ItemToItem(sparse.csr_matrix(entries, shape), config.history)


def ease_weights(
    gram: Float32[np.ndarray, "items items"], penalty: float
) -> Float32[np.ndarray, "items items"]:
    """Return the weights of EASE for the matrix XᵀX; see `fit_ease`.

    Raises:
        InputError: the penalty is too small to invert the matrix in float32.
    """
    penalised = gram + np.float32(penalty) * np.eye(len(gram), dtype=np.float32)
    factor, failed = linalg.lapack.spotrf(penalised, lower=1, overwrite_a=1)
    if not failed:
        inverse, failed = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise InputError(f"EASE cannot be fitted with the penalty {penalty}; give a larger one")
    lower = np.tril(inverse)
    inverse = lower + np.tril(lower, -1).T
    weights: Float32[np.ndarray, "items items"] = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights
