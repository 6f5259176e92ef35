"""Repeat: the items of the history itself, by count and recency."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from behaviour.interactions import Interactions


@dataclass(frozen=True)
class Repeat:
    """Scores the items that a user bought before; all other items have score 0.

    The score of an item is the sum of 0.5^(age / half-life) over the user's purchases of the item.
    Repeated purchases dominate what people buy next (Hu et al., "Modeling personalized item
    frequency information for next-basket recommendation", 2020, arXiv 2006.00556).

    Attributes:
        half_life_days: Age at which an event counts one half; None: all events count 1.
    """

    half_life_days: float | None = None

    def scores(self, histories: Interactions, now: int) -> Float32[np.ndarray, "users items"]:
        """Score all items for each history at a time, in seconds since 1970."""
        scores: Float32[np.ndarray, "users items"]
        scores = histories.of_types("purchase").matrix(now, self.half_life_days).toarray()
        return scores
