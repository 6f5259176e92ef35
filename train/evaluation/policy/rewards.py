"""Predicted rewards of items at positions, for the doubly robust estimate.

The prediction is theta_k · a: the share of position k of the reward of an item, and the reward of
the item at the first position. `a` is the rate of the query and the item, smoothed towards the rate
of the item, which is smoothed towards the rate of all items.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

_SMOOTHING = 20.0  # number of results at the first position that count as much as the mean rate


@dataclass(frozen=True)
class Results:
    """Results of lists, one row per result."""

    item: Int64[np.ndarray, " rows"]  # code of the item
    pair: Int64[np.ndarray, " rows"]  # code of the query and the item
    position: Int64[np.ndarray, " rows"]  # from 0


@dataclass(frozen=True)
class RewardModel:
    """The fitted rates."""

    theta: Float64[np.ndarray, " positions"]
    pairs: Float64[np.ndarray, " pairs"]

    @classmethod
    def fit(
        cls,
        shown: Results,
        reward: Float64[np.ndarray, " rows"],
        used: Bool[np.ndarray, " rows"],
        item_of_pair: Int64[np.ndarray, " pairs"],
        positions: int,
    ) -> "RewardModel":
        """Fit the rates.

        Args:
            shown: The shown results.
            reward: The reward of each result.
            used: Which results to learn from.
            item_of_pair: The item of each pair.
            positions: Number of positions.
        """
        item, pair, position = shown.item[used], shown.pair[used], shown.position[used]
        reward = reward[used]
        at_position = (np.bincount(position, reward, positions) + 1) / (
            np.bincount(position, minlength=positions) + 20
        )
        theta = at_position / at_position.max()
        examined = theta[position]
        mean = float(reward.sum() / examined.sum()) if len(reward) else 0.0
        items = _rates(item, reward, examined, np.full(int(item_of_pair.max()) + 1, mean))
        return cls(theta, _rates(pair, reward, examined, items[item_of_pair]))

    def predict(self, results: Results) -> Float64[np.ndarray, " rows"]:
        """Return the predicted reward of results."""
        predicted: Float64[np.ndarray, " rows"] = (
            self.theta[results.position] * self.pairs[results.pair]
        )
        return predicted


def _rates(
    key: Int64[np.ndarray, " rows"],
    reward: Float64[np.ndarray, " rows"],
    examined: Float64[np.ndarray, " rows"],
    prior: Float64[np.ndarray, " keys"],
) -> Float64[np.ndarray, " keys"]:
    rewards = np.bincount(key, reward, len(prior)) + _SMOOTHING * prior
    rates: Float64[np.ndarray, " keys"] = rewards / (
        np.bincount(key, examined, len(prior)) + _SMOOTHING
    )
    return rates
