"""Profiles: what the history of a person says about the person's taste."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from behaviour.histories import PastEvent

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
    history: Sequence[PastEvent], interests: Sequence[tuple[ItemFacts, float]]
) -> Profile:
    """Return the profile of a history.

    Args:
        history: The events of the person, oldest first.
        interests: The fields of each item that the events speak for, and its weight, above 0.
    """
    prices = [(fields.price, weight) for fields, weight in interests if fields.price is not None]
    return Profile(
        _shares([(fields.brand, weight) for fields, weight in interests]),
        _shares([(fields.category, weight) for fields, weight in interests]),
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
