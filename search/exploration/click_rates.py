"""How likely each item is the one that people click most, from few clicks.

The click rate of an item has a Beta distribution. Before clicks are known, its mean is in
proportion to the predicted score of the item. The factor is the one with which the scores of the
items predict the number of their clicks. Thompson sampling (Thompson, 1933; Chapelle and Li,
NeurIPS 2011) draws a rate for each item and chooses the highest rate, so it chooses an item with
the probability that the item's rate is the highest. This module computes that probability.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import betainc

# Number of impressions that count as much as the predicted score. The number is small, because the
# prediction for one item is uncertain; with 20, exploration finds fewer of the good new items.
PRIOR_IMPRESSIONS = 5.0
_STEPS = 64  # number of intervals of the integral over rates
_LEAST, _MOST = 1e-4, 0.95  # limits of the mean rate before clicks are known


@dataclass(frozen=True)
class Clicks:
    """What is known of the clicks of some items."""

    clicks: Float64[np.ndarray, " items"]
    examined: Float64[np.ndarray, " items"]  # impressions that people looked at
    mean: float  # click rate of all items

    @classmethod
    def unknown(cls, count: int) -> "Clicks":
        """Return the clicks of items if no clicks are recorded."""
        return cls(np.zeros(count), np.zeros(count), 0.05)


def posterior(
    predicted: Float64[np.ndarray, " items"], known: Clicks, strength: float = PRIOR_IMPRESSIONS
) -> tuple[Float64[np.ndarray, " items"], Float64[np.ndarray, " items"]]:
    """Return the parameters alpha and beta of the Beta distribution of each item's click rate.

    Args:
        predicted: A score of each item that grows in proportion to the click rate; 0 or more.
        known: The clicks of the items.
        strength: Number of impressions that count as much as the prediction.
    """
    if not predicted.any():
        predicted = np.ones_like(predicted)
    expected = float(known.examined @ predicted) + strength * float(predicted.mean())
    scale = (float(known.clicks.sum()) + strength * known.mean) / expected
    prior = np.clip(scale * predicted, _LEAST, _MOST)
    missed = np.maximum(known.examined - known.clicks, 0.0)
    return strength * prior + known.clicks, strength * (1 - prior) + missed


def best_chances(
    alpha: Float64[np.ndarray, " items"], beta: Float64[np.ndarray, " items"]
) -> Float64[np.ndarray, " items"]:
    """Return the probability of each item that its rate is the highest; the sum is 1.

    The probability is ∫ f_i(x) Π_{j≠i} F_j(x) dx, with the density f and the distribution F.
    """
    mean = alpha / (alpha + beta)
    deviation = np.sqrt(mean * (1 - mean) / (alpha + beta + 1))
    edges = np.linspace(0, min(1.0, float((mean + 8 * deviation).max())), _STEPS + 1)
    below = betainc(alpha[:, np.newaxis], beta[:, np.newaxis], edges)
    middle = np.log(np.maximum((below[:, 1:] + below[:, :-1]) / 2, 1e-300))
    others = np.exp(middle.sum(axis=0) - middle)
    chances: Float64[np.ndarray, " items"] = (np.diff(below) * others).sum(axis=1)
    return np.asarray(chances / chances.sum())
