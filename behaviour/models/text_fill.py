"""Text fill: what is expected of items without events, from the items with similar texts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int
from scipy import sparse

_BLOCK = 1_024  # items whose cosines are computed at a time


@dataclass(frozen=True)
class TextFillConfig:
    """How the counts of items without events are filled from items with similar texts."""

    neighbours: int = 20  # items with events whose texts are the most similar
    power: float = 8.0  # power of a cosine that is the weight of a neighbour
    # sum of the weights of an item; below 1, a new item counts less than the mean of its neighbours
    strength: float = 0.7


def text_fill(
    vectors: Float32[np.ndarray, "items dim"],
    has_events: Bool[np.ndarray, " items"],
    config: TextFillConfig,
) -> sparse.csr_matrix:
    """Return an items × items matrix: for each item without events, the weights of items with some.

    Args:
        vectors: Unit text vectors of the items.
        has_events: Whether each item has events.
        config: How many neighbours count, and how much.
    """
    known, new = np.flatnonzero(has_events), np.flatnonzero(~has_events)
    few = min(config.neighbours, len(known))
    shape = (len(vectors), len(vectors))
    if not few or not len(new):
        return sparse.csr_matrix(shape, dtype=np.float32)
    rows, columns, values = [], [], []
    for start in range(0, len(new), _BLOCK):
        block = new[start : start + _BLOCK]
        cosines = vectors[block] @ vectors[known].T
        best = np.argpartition(-cosines, few - 1, axis=1)[:, :few]
        rows.append(np.repeat(block, few))
        columns.append(known[best].ravel())
        values.append(fill_weights(np.take_along_axis(cosines, best, axis=1), config).ravel())
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape, np.float32)


def fill_weights(
    cosines: Float32[np.ndarray, "items neighbours"], config: TextFillConfig
) -> Float32[np.ndarray, "items neighbours"]:
    """Return the weights of neighbours: powers of cosines, whose sum for an item is `strength`."""
    powers = np.maximum(cosines, np.float32(1e-3)) ** np.float32(config.power)
    weights = config.strength * powers / powers.sum(axis=1, keepdims=True)
    return np.asarray(weights, np.float32)


def filled(
    values: Float32[np.ndarray, "rows items"] | Int[np.ndarray, "rows items"],
    fill: sparse.csr_matrix,
) -> Float32[np.ndarray, "rows items"]:
    """Return numbers of items, in which items without events have the weighted mean of others."""
    return np.asarray(values + (fill @ values.T.astype(np.float32)).T, np.float32)
