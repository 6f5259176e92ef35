"""What an event of each type says about the wishes of a person."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32

from behaviour.interactions import Interactions
from catalog.events import EVENT_TYPES

# How much an event of each type says about what a person wants, and the age in days at which it
# says one half. An impression says nothing, because the person did not choose it. An event with a
# negative weight takes back the earlier events with its item. The half-life of purchases was chosen
# on Online Retail, of 60, 120 and 180 days.
EVENT_WEIGHTS: Mapping[str, tuple[float, float]] = {
    "impression": (0.0, 1.0),
    "view": (0.3, 7.0),
    "click": (0.3, 7.0),
    "add_to_cart": (0.7, 30.0),
    "remove_from_cart": (-1.0, 1.0),
    "purchase": (1.0, 120.0),
    "return": (-1.0, 1.0),
}
PURCHASE = EVENT_TYPES.index("purchase")
WEIGHTS, HALF_LIVES = np.array([EVENT_WEIGHTS[kind] for kind in EVENT_TYPES], np.float32).T


def type_factors(histories: Interactions, now: int) -> Float32[np.ndarray, " events"]:
    """Return how much each event counts beside a purchase of the same time; 0 at least.

    The models have half-lives of their own for purchases. An event of another type loses weight
    with the half-life of its type, too.
    """
    types = histories.type
    factors = np.maximum(WEIGHTS[types], 0) * np.exp2(-histories.age_days(now) / HALF_LIVES[types])
    return np.where(types == PURCHASE, 1, factors).astype(np.float32)
