"""Co-occurrence: items that the same users had, or that were in the same sessions."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from behaviour.interactions import Interactions
from behaviour.models.item_to_item import (
    HistoryDecay,
    ItemToItem,
    largest_of_rows,
    scaled,
    sums,
)


@dataclass(frozen=True)
class CooccurrenceConfig:
    """Settings of a co-occurrence model."""

    together: Literal["user", "session"] = "user"  # what two items have in common
    half_life_days: float | None = 30.0  # age at which a training event counts one half
    history: HistoryDecay = field(default_factory=lambda: HistoryDecay(half_life_days=60.0))
    # Each user or session counts its size to the power of minus this number, so that the largest
    # ones do not decide everything.
    group_exponent: float = 0.5
    from_exponent: float = 0.25  # how much frequent items of the history count less
    to_exponent: float = 0.5  # how much frequent scored items count less
    neighbours: int = 500  # weights kept of each item


def fit_cooccurrence(
    interactions: Interactions, now: int, config: CooccurrenceConfig
) -> ItemToItem:
    """Count the pairs of items before `now` (seconds since 1970).

    With X the users (or sessions) × items matrix of decayed events, each row divided by its sum to
    the power of `group_exponent`, and C = XᵀX, the weight of a pair is C_ij / (C_ii^a C_jj^b). With
    a = b = 0.5 and without decay, the weights are cosines.

    Source: Sarwar et al., "Item-based collaborative filtering recommendation algorithms" (2001).
    """
    past = interactions.before(now)
    if config.together == "user":
        events = past.matrix(now, config.half_life_days, strongest=True)
    else:
        events = past.baskets(now, config.half_life_days)
    ones = np.ones(past.items, np.float32)
    events = scaled(events, sums(events, 1), config.group_exponent, ones, 0.0)
    pairs = (events.T @ events).tocsr()
    own = pairs.diagonal()
    pairs.setdiag(0)
    weights = scaled(pairs, own, config.from_exponent, own, config.to_exponent)
    return ItemToItem(largest_of_rows(weights, config.neighbours), config.history)
