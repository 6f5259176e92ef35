"""Relevance: the probability that an item is relevant to a query, estimated from its scores.

A score orders the items of one query, but the scores of two queries are not comparable. So the
relevance of an item is the product of two probabilities: that any item fits the query, and that
this item is relevant if any item fits. Each is a logistic regression. Training fits one pair of
regressions for lists in recall order and one pair for reranked lists, and stores them in the bundle
(see `train.pipeline.calibration`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from search.bundle.calibration import COSINE, LOGIT, Calibration, LogisticModel

_LARGEST = np.float32(80)  # exp of a larger number is not finite in float32

# Values of signals, by name.
Signals: TypeAlias = Mapping[str, Float32[np.ndarray, " items"]]


@dataclass(frozen=True)
class Estimate:
    """The estimated relevance of a ranked list.

    Attributes:
        relevance: The relevance of each item; it never rises along the list.
        nothing_fits: Whether no item fits the query.
    """

    relevance: Float32[np.ndarray, " items"]
    nothing_fits: bool


def probability(model: LogisticModel, signals: Signals) -> Float32[np.ndarray, " items"]:
    """Return the probability of a logistic regression for each item."""
    total = np.full(len(signals[COSINE]), model.intercept, np.float32)
    for name, weight in model.weights.items():
        total += np.float32(weight) * signals[name]
    return 1 / (1 + np.exp(-np.clip(total, -_LARGEST, _LARGEST)))


def estimate(calibration: Calibration, signals: Signals) -> Estimate:
    """Estimate the relevance of a ranked list, reranked items first.

    The order of the list stays: an item is never more relevant than the items before it.
    """
    if not len(signals[COSINE]):
        return Estimate(np.zeros(0, np.float32), nothing_fits=True)
    relevance = probability(calibration.recalled.relevant, signals)
    model, reranked = calibration.recalled, int(np.isfinite(signals[LOGIT]).sum())
    if reranked and calibration.reranked is not None:
        model = calibration.reranked
        head = {name: values[:reranked] for name, values in signals.items()}
        relevance[:reranked] = probability(model.relevant, head)
    [fits] = probability(model.fits, {name: values[:1] for name, values in signals.items()})
    relevance = np.minimum.accumulate(fits * relevance)
    return Estimate(relevance, nothing_fits=bool(fits < model.threshold))
