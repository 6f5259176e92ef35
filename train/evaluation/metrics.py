"""Ranking metrics and their confidence intervals: pure functions of NumPy arrays.

Every metric takes one row per query, padded on the right to a common width. Padding and unjudged
items have gain 0 and are not relevant. A metric returns one value per query, which is NaN where the
metric is not defined. `bootstrap` leaves out NaN and reports the number of averaged queries.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

RESAMPLES = 10_000
MIN_QUERIES = 30  # with fewer queries, an interval is no evidence of a difference
LEVEL = 0.95
_SEED = 20_240_601  # one seed for every interval, so that reports are reproducible
_CHUNK = 1 << 22  # resampled values in memory at a time

Verdict: TypeAlias = Literal["better", "worse", "no difference", "too few to tell"]


@dataclass(frozen=True)
class Interval:
    """A mean over queries and its percentile bootstrap interval.

    Attributes:
        mean: The mean; NaN without queries.
        low: Lower end of the 95% interval.
        high: Upper end of the 95% interval.
        queries: Number of averaged queries.
    """

    mean: float
    low: float
    high: float
    queries: int

    @property
    def verdict(self) -> Verdict:
        """Whether a mean difference between two systems shows that the first one is better.

        The whole interval of a better system is above zero, over `MIN_QUERIES` queries or more.
        """
        if self.queries < MIN_QUERIES:
            return "too few to tell"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no difference"


def dcg(gains: Float[np.ndarray, "queries ranks"], k: int) -> Float64[np.ndarray, "queries"]:
    """Compute discounted cumulative gain, `sum of gains[r] / log2(r + 2) over r < k`.

    Args:
        gains: Gain of the item at each rank, the best rank first; 0 after the end of a list.
        k: Number of ranks that count.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002),
    with the log2(rank + 1) discount and linear gain that trec_eval uses.
    """
    top = gains[:, :k].astype(np.float64)
    discounts = 1.0 / np.log2(np.arange(2, top.shape[1] + 2))
    return np.asarray(top @ discounts)


def ndcg(
    gains: Float[np.ndarray, "queries ranks"],
    judged: Float[np.ndarray, "queries judged"],
    k: int,
) -> Float64[np.ndarray, "queries"]:
    """Compute nDCG at `k`: DCG of a list divided by DCG of the best order of all judged items.

    The nDCG of a query without a positive gain is 0, as in trec_eval.

    Args:
        gains: Gain (grade - grade_min) of the item at each rank; 0 for an unjudged item.
        judged: Gains of all judged items of the query in any order, padded with 0; never negative.
        k: Number of ranks that count.
    """
    ideal = dcg(-np.sort(-judged, axis=-1), k)
    value = np.zeros_like(ideal)
    np.divide(dcg(gains, k), ideal, out=value, where=ideal > 0)
    return value


def recall(
    relevant: Bool[np.ndarray, "queries ranks"], total: Int[np.ndarray, "queries"], k: int
) -> Float64[np.ndarray, "queries"]:
    """Compute the share of relevant items in the first `k` ranks; NaN without relevant items.

    Args:
        relevant: Whether the item at each rank is relevant.
        total: Number of relevant items of each query, in the list or not.
        k: Number of ranks that count.
    """
    hits = relevant[:, :k].sum(axis=-1).astype(np.float64)
    value = np.full(hits.shape, np.nan)
    np.divide(hits, total, out=value, where=total > 0)
    return value


def reciprocal_rank(
    relevant: Bool[np.ndarray, "queries ranks"], total: Int[np.ndarray, "queries"]
) -> Float64[np.ndarray, "queries"]:
    """Compute 1 / rank of the first relevant item.

    The result is 0 if the list has no relevant item, and NaN if the query has no relevant item.

    Args:
        relevant: Whether the item at each rank is relevant.
        total: Number of relevant items of each query, in the list or not.
    """
    ranks = np.arange(1, relevant.shape[1] + 1)
    best = np.max(relevant / ranks, axis=-1, initial=0.0)
    return np.where(total > 0, best, np.nan)


def bootstrap(
    values: Float[np.ndarray, "queries"],
    *,
    resamples: int = RESAMPLES,
    seed: int = _SEED,
    chunk: int = _CHUNK,
) -> Interval:
    """Compute the mean over queries with its 95% percentile interval.

    If each value is the difference between two systems on one query, this is the paired bootstrap.
    `Interval.verdict` says whether the first system is better.

    Args:
        values: One value per query; NaN leaves the query out.
        resamples: Number of samples of the queries, drawn with replacement.
        seed: Seed of the samples; the same number of queries gives the same samples.
        chunk: Resampled values in memory at a time; the result does not depend on this number.

    Source: Sakai, "Evaluating evaluation metrics based on the bootstrap" (2006).
    """
    known = values[~np.isnan(values)].astype(np.float64)
    if not known.size:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    random = np.random.default_rng(seed)
    rows = max(1, chunk // known.size)
    means = np.concatenate(
        [
            known[
                random.integers(known.size, size=(min(rows, resamples - start), known.size))
            ].mean(1)
            for start in range(0, resamples, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(known.mean()), float(low), float(high), int(known.size))
