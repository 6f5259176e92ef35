"""Maximal marginal relevance: results that are good, and not the same good thing again."""

import numpy as np
from jaxtyping import Float32, Float64, Int64


def mmr_order(
    scores: Float64[np.ndarray, " items"],
    vectors: Float32[np.ndarray, "items dim"],
    diversity: float,
) -> Int64[np.ndarray, " items"]:
    """The order of maximal marginal relevance (Carbonell & Goldstein, 1998).

    One after the other, it takes the item with the largest

        (1 - diversity) * relevance - diversity * max(cosine with each item taken before)

    Relevance is the score brought to [0, 1] by the smallest and the largest of the scores. So it is
    on the scale of the cosines, whatever scale a model scores on, and keeps the distances between
    scores; a softmax would give nearly all to the first few, and leave the rest to diversity. The
    first item is the most relevant one; of equals, the one that comes first in the list is taken.

    Args:
        scores: In any order.
        vectors: Unit vectors of the items.
        diversity: From 0, by score alone, to 1, by difference alone.
    """
    spread = np.ptp(scores) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread else np.zeros(len(scores))
    cosines = vectors @ vectors.T
    worth = (1 - diversity) * relevance
    nearest = np.full(len(scores), -np.inf)
    order = np.empty(len(scores), np.int64)
    left = np.ones(len(scores), np.bool_)
    for place in range(len(scores)):
        marginal = worth - diversity * nearest if place else relevance
        order[place] = best = int(np.argmax(np.where(left, marginal, -np.inf)))
        left[best] = False
        np.maximum(nearest, cosines[best], out=nearest)
    return order
