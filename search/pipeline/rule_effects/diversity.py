"""Diversity: order results by maximal marginal relevance."""

import numpy as np
from jaxtyping import Float32, Float64, Int64


def mmr_order(
    scores: Float64[np.ndarray, " items"],
    vectors: Float32[np.ndarray, "items dim"],
    diversity: float,
) -> Int64[np.ndarray, " items"]:
    """Return the order of maximal marginal relevance (Carbonell & Goldstein, 1998).

    The next item in the order is always the remaining item with the largest value of

        (1 - diversity) * relevance - diversity * max(cosine with each earlier item of the order)

    Relevance is the score, scaled linearly so that the smallest score is 0 and the largest is 1. So
    relevance and cosines have similar scales for every model. (A softmax would give nearly all
    relevance to the first few items, and diversity alone would order the rest.) The first item is
    the most relevant item. Of items with equal values, the first in the list is taken.

    Args:
        scores: Scores of the items, in any order.
        vectors: Unit vectors of the items.
        diversity: 0 orders by score only, 1 by difference between items only.
    """
    spread = np.ptp(scores) if len(scores) else 0.0
    relevance = (scores - scores.min()) / spread if spread else np.zeros(len(scores))
    cosines = vectors @ vectors.T
    worth = (1 - diversity) * relevance
    nearest = np.full(len(scores), -np.inf)
    order = np.empty(len(scores), np.int64)
    remaining = np.ones(len(scores), np.bool_)
    for position in range(len(scores)):
        marginal = worth - diversity * nearest if position else relevance
        order[position] = best = int(np.argmax(np.where(remaining, marginal, -np.inf)))
        remaining[best] = False
        np.maximum(nearest, cosines[best], out=nearest)
    return order
