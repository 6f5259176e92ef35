"""Markov counter: how often one item follows another within a few sessions of a user."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from behaviour.interactions import Interactions
from behaviour.models.item_to_item import (
    HistoryDecay,
    ItemToItem,
    largest_of_rows,
    scaled,
    sums,
)


@dataclass(frozen=True)
class MarkovConfig:
    """Settings of a Markov counter. In a sequence, each event is a session of its own."""

    max_gap: int = 3  # sessions between two items of a pair, at most; 1: only the next session
    backward: float = 0.0  # weight of a pair in the direction from the later to the earlier item
    half_life_days: float | None = None  # age at which the later event of a pair counts one half
    history: HistoryDecay = field(default_factory=lambda: HistoryDecay(half_life_sessions=1.0))
    size_exponent: float = 0.5  # power of the earlier session's size that a pair is divided by
    row_exponent: float = 0.5  # power of the sum of a row that the row is divided by
    neighbours: int = 500  # weights kept of each item


def fit_markov(interactions: Interactions, now: int, config: MarkovConfig) -> ItemToItem:
    """Count pairs of items in two sessions of one user, before `now` (seconds since 1970).

    A pair of sessions with g - 1 sessions between them counts 1/g. With `max_gap` 1, no decay and
    a row exponent of 1, the weights are transition probabilities.

    Source: Rendle et al., "Factorizing personalized Markov chains for next-basket recommendation"
    (2010), whose chains these counts estimate without factors.
    """
    past = interactions.before(now)
    baskets = past.baskets()
    baskets.data[:] = 1
    last = np.searchsorted(past.session_numbers(), np.arange(baskets.shape[0]), side="right") - 1
    user, decay = past.user[last], past.decay(now, config.half_life_days)[last]
    size = sums(baskets, 1) ** -config.size_exponent
    pairs = sparse.csr_matrix((past.items, past.items), dtype=np.float32)
    for gap in range(1, min(config.max_gap, len(user) - 1) + 1):
        same = user[gap:] == user[:-gap]
        weights = (decay[gap:] * size[:-gap] / np.float32(gap))[same]
        earlier, later = baskets[:-gap][same], baskets[gap:][same]
        pairs = pairs + earlier.T @ (sparse.diags(weights) @ later)
    if config.backward:
        pairs = pairs + np.float32(config.backward) * pairs.T
    pairs = pairs.tocsr()
    pairs.setdiag(0)
    ones = np.ones(past.items, np.float32)
    weights = scaled(pairs, sums(pairs, 1), config.row_exponent, ones, 0.0)
    return ItemToItem(largest_of_rows(weights, config.neighbours), config.history)
