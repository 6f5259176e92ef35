"""Fit a logistic regression by Newton's method."""

import numpy as np
from jaxtyping import Float64

_PENALTY = 1e-4  # weight of the squared weights of standardised signals in the loss
_STEPS = 30  # Newton steps; about ten converge


def fit_logistic(
    positive: Float64[np.ndarray, "positives signals"],
    negative: Float64[np.ndarray, "negatives signals"],
    share: float | None = None,
) -> tuple[float, Float64[np.ndarray, " signals"]]:
    """Fit a logistic regression whose weights are 0 or more.

    A signal whose weight would be negative is left out, so its weight is 0. Without examples of one
    kind, all weights are 0.

    Args:
        positive: Signals of positive examples.
        negative: Signals of negative examples.
        share: The share of positive examples that the probabilities assume; None for the share in
            the data.

    Returns:
        The intercept, and the weight of each signal.
    """
    if not (len(positive) and len(negative)):
        smoothed = np.log((len(positive) + 1) / (len(negative) + 1))
        return float(smoothed), np.zeros(positive.shape[1])
    if share is None:
        share = len(positive) / (len(positive) + len(negative))
    signals = np.concatenate([positive, negative])
    labels = np.repeat([1.0, 0.0], [len(positive), len(negative)])
    example_weights = np.where(labels == 1, share / len(positive), (1 - share) / len(negative))
    mean, scale = signals.mean(axis=0), signals.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(signals)), (signals - mean) / scale])
    used, beta = list(range(design.shape[1])), _newton(design, labels, example_weights)
    while (beta[1:] < 0).any():
        used.remove(used[1 + int(beta[1:].argmin())])
        beta = _newton(design[:, used], labels, example_weights)
    standardised = np.zeros(design.shape[1])
    standardised[used] = beta
    weights = standardised[1:] / scale
    return float(standardised[0] - weights @ mean), weights


def _newton(
    design: Float64[np.ndarray, "examples inputs"],
    labels: Float64[np.ndarray, " examples"],
    weights: Float64[np.ndarray, " examples"],
) -> Float64[np.ndarray, " inputs"]:
    penalty = np.full(design.shape[1], _PENALTY)
    penalty[0] = 0.0
    beta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (weights * (labels - probability)) - penalty * beta
        curvature = weights * probability * (1 - probability)
        hessian = (design * curvature[:, None]).T @ design + np.diag(penalty + 1e-9)
        beta = beta + np.linalg.solve(hessian, gradient)
    return beta
