"""Estimates of how a target policy would have done, from lists that a logging policy showed.

The reward of an item at a position is taken to depend on the request, the item and the position,
not on the other items of the list (the item-position model; Li et al., "Offline evaluation of
ranking policies with click models", KDD 2018). With the weight

    w = (probability that the target shows the item at the position) / (logged propensity)

the value of the target, its expected reward per request, is estimated in three ways:

- IPS: the mean over requests of Σ_positions w · reward. Unbiased if the logging policy can show
  every item that the target shows (Horvitz and Thompson, 1952). Exploration cannot show an item in
  a block of positions if it has drawn the item for an earlier block. So the estimate is a little
  too low for later blocks, and the support is below 1.
- SNIPS: for each position, Σ w · reward / Σ w. A little biased, but with less variance (Swaminathan
  and Joachims, "The self-normalized estimator for counterfactual learning", NIPS 2015).
- DR: the mean of Σ_positions (predicted reward of the target + w · (reward - predicted reward)).
  Unbiased like IPS, with less variance if the predictions are good (Dudík, Langford and Li, "Doubly
  robust policy evaluation and learning", ICML 2011).

The intervals are those of the normal distribution over requests.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from train.evaluation.metrics import Interval

_Z = 1.959964  # the normal distribution has 95% of its mass within this many deviations
_FEWEST = 100  # smallest effective sample size without a warning
_LEAST_SUPPORT = 0.9  # smallest support without a warning


@dataclass(frozen=True)
class Logged:
    """The shown results of some requests, one row per result.

    Attributes:
        request: The index of the request.
        position: The position, from 0.
        reward: The reward, such as 1 for a click.
        propensity: The probability with which the logging policy showed the item at the position.
        target: The probability with which the target shows the item at the position.
        predicted: The predicted reward of the item at the position.
        expected: For each request, the predicted reward of the list that the target shows.
        filled: For each position, the share of requests for which the target shows an item there.
    """

    request: Int64[np.ndarray, " rows"]
    position: Int64[np.ndarray, " rows"]
    reward: Float64[np.ndarray, " rows"]
    propensity: Float64[np.ndarray, " rows"]
    target: Float64[np.ndarray, " rows"]
    predicted: Float64[np.ndarray, " rows"]
    expected: Float64[np.ndarray, " requests"]
    filled: Float64[np.ndarray, " positions"]

    def __len__(self) -> int:
        """The number of requests."""
        return len(self.expected)


@dataclass(frozen=True)
class Estimates:
    """Estimates of the value of a target policy, in rewards per request.

    Attributes:
        logged: The value of the logging policy, for comparison.
        ips: Inverse propensity scores.
        snips: Self-normalised inverse propensity scores.
        doubly_robust: The doubly robust estimate.
        effective_size: The number of results with equal weights that would say as much.
        support: The sum of all weights, divided by its expected value; about 1 if the logging
            policy shows everything that the target shows.
    """

    logged: Interval
    ips: Interval
    snips: Interval
    doubly_robust: Interval
    effective_size: float
    support: float

    @property
    def warning(self) -> str:
        """Why the estimates are not to be relied on; "" if the support suffices."""
        if self.support < _LEAST_SUPPORT:
            return (
                f"the log supports only {self.support:.0%} of what the target shows, so the "
                "estimates are too low; log with a larger share of exploration, or give fewer "
                "--positions"
            )
        if self.effective_size < _FEWEST:
            return (
                f"the effective sample size is {self.effective_size:.0f}, so the intervals are "
                "not to be relied on; log more requests, or a larger share of exploration"
            )
        return ""


def estimate(logged: Logged) -> Estimates:
    """Estimate the value of the target policy."""
    weights = logged.target / logged.propensity
    total = float(weights.sum())
    squares = float((weights**2).sum())
    expected = len(logged) * float(logged.filled.sum())
    ips = _sums(logged, weights * logged.reward)
    residuals = _sums(logged, weights * (logged.reward - logged.predicted))
    return Estimates(
        logged=_interval(_sums(logged, logged.reward)),
        ips=_interval(ips),
        snips=_interval(_self_normalised(logged, weights)),
        doubly_robust=_interval(logged.expected + residuals),
        effective_size=total**2 / squares if squares else 0.0,
        support=total / expected if expected else 0.0,
    )


def _sums(logged: Logged, values: Float64[np.ndarray, " rows"]) -> Float64[np.ndarray, " requests"]:
    return np.bincount(logged.request, values, len(logged))


def _self_normalised(
    logged: Logged, weights: Float64[np.ndarray, " rows"]
) -> Float64[np.ndarray, " requests"]:
    """Return values whose mean is the estimate SNIPS, and whose spread is that of the estimate.

    They are the estimate plus each request's influence on it (the delta method).
    """
    positions = len(logged.filled)
    norms = np.bincount(logged.position, weights, positions)
    sums = np.bincount(logged.position, weights * logged.reward, positions)
    rates = np.divide(sums, norms, out=np.zeros(positions), where=norms > 0)
    scale = np.divide(logged.filled, norms, out=np.zeros(positions), where=norms > 0) * len(logged)
    influence = weights * (logged.reward - rates[logged.position]) * scale[logged.position]
    return float(logged.filled @ rates) + _sums(logged, influence)


def _interval(values: Float64[np.ndarray, " requests"]) -> Interval:
    mean = float(values.mean())
    width = _Z * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return Interval(mean, mean - width, mean + width, len(values))
