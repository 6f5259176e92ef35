"""The learned residuals of items: factors of EASE, which is fitted in closed form.

EASE scores item j by the sum of B[i, j] over the items i of a history. A truncated singular value
decomposition B + D ≈ L @ R.T gives each item a vector as part of a history (a row of L), and a
vector as a result (a row of R). D is a diagonal: the scores of items that are in the history do not
matter, so D is chosen to make the rest easy to approximate.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from scipy import linalg, sparse

from behaviour.interactions import Interactions
from behaviour.models.ease import ease_weights

_SAMPLE = 2_000  # histories that the scale of the residuals is measured on
_OVERSAMPLING = 16  # extra dimensions of the randomised decomposition
_ROUNDS = 4  # alternations between the factors and the diagonal


@dataclass(frozen=True)
class ResidualConfig:
    """Settings of the item-item model whose factors are the residuals."""

    penalty: float = 100.0  # weight of the squared weights in EASE's loss; above 0
    half_life_days: float = 45.0  # age at which an event counts one half
    max_items: int = 8_000  # only so many items, the most frequent, have residuals


@dataclass(frozen=True)
class Residuals:
    """Two vectors of each item; an item without events has zeros.

    Attributes:
        events: The vector of an item in a history.
        items: The vector of an item that is scored.
    """

    events: Float32[np.ndarray, "items dim"]
    items: Float32[np.ndarray, "items dim"]


def fit_residuals(
    interactions: Interactions, now: int, dim: int, config: ResidualConfig, seed: int
) -> Residuals:
    """Fit EASE on the events before `now`, and factor its weights.

    The residuals are scaled so that the scores of items for the mean of a history have the standard
    deviation 1. Gates that are learned with the residuals of one time then fit those of another.
    """
    past = interactions.before(now).matrix(now, config.half_life_days, strongest=True)
    frequency = np.asarray(past.power(2).sum(axis=0)).ravel()
    most = min(config.max_items, int((frequency > 0).sum()))
    used = np.sort(np.argsort(-frequency, kind="stable")[:most])
    residuals = np.zeros((2, interactions.items, dim), np.float32)
    if not most:
        return Residuals(*residuals)
    counts = past[:, used]
    weights = ease_weights((counts.T @ counts).toarray(), config.penalty)
    left, right = _factors(weights, np.sqrt(frequency[used] + 1), min(dim, most), seed)
    totals = np.asarray(counts.sum(axis=1)).ravel()
    users = np.random.default_rng(seed).permutation(np.flatnonzero(totals))[:_SAMPLE]
    means = sparse.diags_array(1 / totals[users]) @ counts[users]
    left /= np.std((means @ left) @ right.T) or 1.0
    residuals[0, used, : left.shape[1]] = left
    residuals[1, used, : left.shape[1]] = right
    return Residuals(*residuals)


def _factors(
    weights: Float32[np.ndarray, "n n"], frequency: Float32[np.ndarray, " n"], dim: int, seed: int
) -> tuple[Float32[np.ndarray, "n dim"], Float32[np.ndarray, "n dim"]]:
    """Factor the weights outside the diagonal; frequent items' rows count more.

    Source of the randomised decomposition: Halko, Martinsson and Tropp (2011, arXiv 0909.4061).
    """
    matrix = weights * frequency[:, None]
    width = min(dim + _OVERSAMPLING, len(matrix))
    basis = np.random.default_rng(seed).standard_normal((len(matrix), width), np.float32)
    for _ in range(_ROUNDS):
        basis = linalg.qr(matrix @ basis, mode="economic")[0]
        basis = linalg.qr(matrix.T @ basis, mode="economic")[0]  # spans the rows of the matrix
        left, values, right = linalg.svd(matrix @ basis, full_matrices=False)
        root = np.sqrt(values[:dim])
        item, event = basis @ (right[:dim].T * root), left[:, :dim] * root
        np.fill_diagonal(matrix, np.einsum("nd,nd->n", event, item))
    return (event / frequency[:, None]).astype(np.float32), item.astype(np.float32)
