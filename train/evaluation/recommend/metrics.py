"""Metrics of recommendations: pure functions of score matrices, with ties averaged.

Items with equal scores have no order. Each metric is therefore the mean over all orders of tied
items. Items with the score -inf are excluded: they have no rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped
from scipy import sparse
from scipy.special import gammaln

DEPTH = 20  # ranks of nDCG, coverage and novelty
RECALL_DEPTHS = (20, 100)
_FEW_TARGETS = 16  # of a user with at most this number, comparing is faster than sorting
METRICS = ("recall@20", "recall@100", "ndcg@20", "mrr")


@dataclass(frozen=True)
class TargetRanks:
    """The tied ranks of every target: a target's rank is any of above + 1 to above + tied.

    Attributes:
        users: Number of users.
        user: User of each target, in ascending order.
        above: Number of items with a higher score.
        tied: Number of items with the same score, the target itself included.
    """

    users: int
    user: Int64[np.ndarray, " targets"]
    above: Int64[np.ndarray, " targets"]
    tied: Int64[np.ndarray, " targets"]

    @classmethod
    def of(
        cls, scores: Float32[np.ndarray, "users items"], targets: sparse.csr_matrix
    ) -> "TargetRanks":
        """Rank the targets (elements of a users × items matrix) of each user among all items.

        Raises:
            ValueError: a score is NaN, which has no rank.
        """
        if np.isnan(scores).any():
            raise ValueError("a score is NaN")
        counts = np.diff(targets.indptr)
        above = np.zeros(targets.nnz, np.int64)
        tied = np.zeros(targets.nnz, np.int64)
        for user in np.flatnonzero(counts):
            entries = slice(targets.indptr[user], targets.indptr[user + 1])
            values = scores[user, targets.indices[entries]]
            if len(values) <= _FEW_TARGETS:
                above[entries] = (scores[user] > values[:, None]).sum(axis=1)
                tied[entries] = (scores[user] == values[:, None]).sum(axis=1)
                continue
            ascending = np.sort(scores[user])
            right = np.searchsorted(ascending, values, side="right")
            above[entries] = scores.shape[1] - right
            tied[entries] = right - np.searchsorted(ascending, values, side="left")
        return cls(len(counts), np.repeat(np.arange(len(counts)), counts), above, tied)

    @classmethod
    def concatenate(cls, parts: Sequence["TargetRanks"]) -> "TargetRanks":
        """Join the ranks of several batches of users."""
        first = np.cumsum([0, *(part.users for part in parts)])
        return cls(
            int(first[-1]),
            np.concatenate([part.user + start for part, start in zip(parts, first, strict=False)]),
            np.concatenate([part.above for part in parts]),
            np.concatenate([part.tied for part in parts]),
        )

    @property
    def counts(self) -> Int64[np.ndarray, " users"]:
        """Number of targets of each user."""
        return np.asarray(np.bincount(self.user, minlength=self.users))

    def mean(self, values: Float64[np.ndarray, " targets"]) -> Float64[np.ndarray, " users"]:
        """Return the mean over each user's targets; NaN without a target."""
        sums, counts = np.bincount(self.user, values, self.users), self.counts
        return _ratio(sums, counts)


def recall(ranks: TargetRanks, k: int) -> Float64[np.ndarray, " users"]:
    """Compute the expected share of a user's targets in the first k ranks; NaN without a target."""
    return ranks.mean(np.clip((k - ranks.above) / ranks.tied, 0, 1))


def ndcg(ranks: TargetRanks, k: int) -> Float64[np.ndarray, " users"]:
    """Compute the expected nDCG at k, with gain 1 for each target; NaN without a target.

    The ideal list begins with all targets; see `train.evaluation.metrics.ndcg`.
    """
    sums = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    last, first = np.minimum(ranks.above + ranks.tied, k), np.minimum(ranks.above, k)
    gains = (sums[last] - sums[first]) / ranks.tied
    ideal = sums[np.minimum(ranks.counts, k)]
    total = np.bincount(ranks.user, gains, ranks.users)
    return _ratio(total, ideal)


def reciprocal_rank(ranks: TargetRanks) -> Float64[np.ndarray, " users"]:
    """Compute the expected 1 / rank of a user's first target; NaN without a target.

    If m of t tied items are targets, the first of these targets is at place j of the tied items
    with probability C(t - j, m - 1) / C(t, m).
    """
    values = np.full(ranks.users, np.nan)
    starts = np.searchsorted(ranks.user, np.arange(ranks.users + 1))
    for user in np.flatnonzero(np.diff(starts)):
        above = ranks.above[starts[user] : starts[user + 1]]
        best, targets = int(above.min()), int((above == above.min()).sum())
        tied = ranks.tied[starts[user] + above.argmin()]
        places = np.arange(1, tied - targets + 2)
        orders = _log_choose(np.array([tied]), targets)
        share = np.exp(_log_choose(tied - places, targets - 1) - orders)
        values[user] = float((share / (best + places)).sum())
    return values


def all_metrics(ranks: TargetRanks) -> dict[str, Float64[np.ndarray, " users"]]:
    """Compute every metric of `METRICS`, one value per user."""
    values = {f"recall@{k}": recall(ranks, k) for k in RECALL_DEPTHS}
    return values | {f"ndcg@{DEPTH}": ndcg(ranks, DEPTH), "mrr": reciprocal_rank(ranks)}


def top_items(
    scores: Float32[np.ndarray, "users items"], k: int, seed: int = 0
) -> Int64[np.ndarray, "users k"]:
    """Return the k best items of each user, best first; ties are in one fixed random order.

    Excluded items are no results: -1 stands for a missing result.
    """
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    shuffled = scores[:, order]
    k = min(k, scores.shape[1])
    best = np.argpartition(-shuffled, k - 1, axis=1)[:, :k]
    ranked = np.argsort(-np.take_along_axis(shuffled, best, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(best, ranked, axis=1)
    is_excluded = np.isneginf(np.take_along_axis(shuffled, places, axis=1))
    return np.where(is_excluded, -1, order[places])


def coverage(top: Int64[np.ndarray, "users k"], items: int) -> float:
    """Compute the share of the catalogue's items that are in at least one user's list."""
    return len(np.unique(top[top >= 0])) / items


def novelty(
    top: Int64[np.ndarray, "users k"], counts: Float32[np.ndarray, " items"]
) -> Float64[np.ndarray, " users"]:
    """Compute the mean self-information in bits of each user's list, -log2(share of events).

    Every item counts one event more than it has, so that new items have a finite value.

    Source: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems"
    (2010).
    """
    share = (counts.astype(np.float64) + 1) / (counts.astype(np.float64) + 1).sum()
    is_result = top >= 0
    bits = np.where(is_result, -np.log2(share)[top], 0)
    return _ratio(bits.sum(axis=1), is_result.sum(axis=1))


def _ratio(
    top: Shaped[np.ndarray, " users"], bottom: Shaped[np.ndarray, " users"]
) -> Float64[np.ndarray, " users"]:
    """Divide; NaN where the divisor is 0."""
    return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0))


def _log_choose(n: Int64[np.ndarray, " n"], k: int) -> Float64[np.ndarray, " n"]:
    values: Float64[np.ndarray, " n"]
    values = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return values
