"""Profiles: what the history of a person says about the person's taste."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from behaviour.events import DAY
from behaviour.histories import PastEvent

# How strongly one event of each type speaks for its item; other types say nothing.
TYPE_WEIGHTS: Mapping[str, float] = {
    "view": 1.0,
    "click": 1.0,
    "add_to_cart": 2.0,
    "purchase": 3.0,
    "remove_from_cart": -1.0,
    "return": -3.0,
}
_BAND = (0.1, 0.9)  # quantiles of the prices that a price band includes


@dataclass(frozen=True)
class ItemFacts:
    """The fields of an item that a profile reads. None: not known."""

    brand: str | None = None
    category: str | None = None
    price: float | None = None


@dataclass(frozen=True)
class Profile:
    """What is believed of a person.

    Attributes:
        brands: The share of each brand, the largest first; the shares add up to 1.
        categories: The share of each category, the largest first.
        price_band: The prices between which 80% of the weight of the events lies; None without a
            price.
        last_time: The time of the latest event in microseconds since 1970; None without events.
        events: The events that the profile follows from, oldest first.
    """

    brands: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, float] = field(default_factory=dict)
    price_band: tuple[float, float] | None = None
    last_time: int | None = None
    events: tuple[PastEvent, ...] = ()


def profile_of(
    history: Sequence[PastEvent],
    facts: Callable[[str], ItemFacts | None],
    now: int,
    half_life_days: float = 30.0,
) -> Profile:
    """Return the profile of a history.

    The events of one item add up to its weight: the weight of each type, halved every
    `half_life_days`. Items with a weight of 0 or less, such as items that were sent back, say
    nothing.

    Args:
        history: The events of the person.
        facts: Returns the fields of an item; None for an unknown item.
        now: The present time, in microseconds since 1970.
        half_life_days: The time after which an event counts half, in days.
    """
    weights: dict[str, float] = {}
    for past in history:
        decay = 0.5 ** (max(now - past.time, 0) / (half_life_days * DAY))
        weight = TYPE_WEIGHTS.get(past.type, 0.0) * decay
        weights[past.item_id] = weights.get(past.item_id, 0.0) + weight
    known = [
        (weight, fields)
        for item_id, weight in weights.items()
        if weight > 0 and (fields := facts(item_id)) is not None
    ]
    prices = [(fields.price, weight) for weight, fields in known if fields.price is not None]
    return Profile(
        _shares([(fields.brand, weight) for weight, fields in known]),
        _shares([(fields.category, weight) for weight, fields in known]),
        _band(prices) if prices else None,
        max((past.time for past in history), default=None),
        tuple(history),
    )


def _shares(weighted: Sequence[tuple[str | None, float]]) -> Mapping[str, float]:
    sums: dict[str, float] = {}
    for name, weight in weighted:
        if name is not None:
            sums[name] = sums.get(name, 0.0) + weight
    total = sum(sums.values())
    ordered = sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))
    return {name: weight / total for name, weight in ordered}


def _band(prices: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the weighted quantiles `_BAND` of prices, each given with its weight."""
    values, weights = np.array(sorted(prices)).T
    below = np.cumsum(weights) / weights.sum()
    # The sums of weights have rounding errors.
    low, high = (int(np.searchsorted(below, share - 1e-9)) for share in _BAND)
    return float(values[low]), float(values[high])
