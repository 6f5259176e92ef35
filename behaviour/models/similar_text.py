"""Similar texts: items whose text is like the texts of the history's items."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from behaviour.models.item_to_item import HistoryDecay, ItemToItem, largest_of_rows

_BLOCK = 1_024  # items whose cosines are computed at a time


@dataclass(frozen=True)
class SimilarTextConfig:
    """Settings of the model of similar texts."""

    power: float = 8.0  # power of a cosine that is the weight of a pair
    history: HistoryDecay = field(default_factory=lambda: HistoryDecay(half_life_days=90.0))
    neighbours: int = 500  # weights kept of each item


def fit_similar_text(
    vectors: Float32[np.ndarray, "items dim"], config: SimilarTextConfig
) -> ItemToItem:
    """Weigh pairs of items by a power of the cosine of their unit vectors; below 0 counts as 0.

    The model needs no events of an item, so it also recommends items that were never sold.
    """
    blocks = []
    for start in range(0, len(vectors), _BLOCK):
        cosines = np.maximum(vectors[start : start + _BLOCK] @ vectors.T, 0)
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = 0
        weights = sparse.csr_matrix(cosines**config.power)
        blocks.append(largest_of_rows(weights, config.neighbours))
    return ItemToItem(sparse.vstack(blocks, format="csr"), config.history)
