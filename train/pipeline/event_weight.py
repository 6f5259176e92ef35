"""Choose the weight of events beside judgments, on `dev`, with short trainings of the towers."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from train.data.relevance import Relevance, combined
from train.evaluation.guard import described
from train.evaluation.metrics import MIN_QUERIES, bootstrap

logger = logging.getLogger(__name__)

EVENT_WEIGHTS = (0.3, 1.0)  # weights that are compared with judgments alone
UNSURE_WEIGHT = 0.3  # the weight if `dev` has too few queries for a choice

# weight, pairs of all splits -> the `dev` metric of each query, after a short training
Trial = Callable[[float, Relevance], Float64[np.ndarray, "queries"]]


def choose_event_weight(
    judged: Relevance | None,
    clicked: Relevance | None,
    trial: Trial,
    *,
    pairs: int,
    fixed: float | None,
    seed: int,
) -> dict[str, Any]:
    """Choose the weight of events beside judgments, and log it.

    Args:
        judged: The judged pairs of `train` and `dev`.
        clicked: The pairs of events of `train` and `dev`.
        trial: Trains for a short time.
        pairs: About the number of judged pairs of a trial. Events are thinned as much as judgments.
        fixed: The weight that the options give; None chooses one.
        seed: Seed of the sample of queries that trials train on.

    Returns:
        A report: `weight` and `line`. It is empty if there are no events or no judgments.
    """
    if judged is None or clicked is None:
        return {}
    count = int(judged.only("train").relevant.sum())
    dev = len(combined(judged, clicked, 0.0).queries_with_gain("dev"))
    if fixed is not None:
        weight, reason = fixed, "as --pairs.event-weight says"
    elif not count:
        weight, reason = 1.0, "no judged train query has a relevant item"
    elif dev < MIN_QUERIES:
        weight, reason = UNSURE_WEIGHT, f"{dev} dev queries are too few to choose a weight"
    else:
        share = min(1.0, pairs / count)
        values = {
            weight: trial(weight, combined(judged, clicked, weight).thinned(share, seed))
            for weight in (0.0, *EVENT_WEIGHTS)
        }
        weight, reason = best_event_weight(values)
    use = f"weight {weight:g} beside judgments" if weight else "left out, judgments alone train"
    line = f"events: {use} ({reason})"
    logger.info("guard: %s", line)
    return {"weight": weight, "line": line}


def best_event_weight(
    values: Mapping[float, Float64[np.ndarray, "queries"]],
) -> tuple[float, str]:
    """Return the best weight, and the reason.

    Events are left out unless they are surely better than judgments alone.

    Args:
        values: The `dev` metric of each query, by weight. Weight 0 trains on judgments alone.
    """
    best = max(EVENT_WEIGHTS, key=lambda weight: values[weight].mean())
    difference = bootstrap(values[best] - values[0.0])
    return (best if difference.verdict == "better" else 0.0), described(difference)
