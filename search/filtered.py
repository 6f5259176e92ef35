"""The nearest items among those that pass a filter: which plan is cheapest, and never too few.

The index knows nothing of filters. Where few items pass, all of them are compared with the query;
where many do, the index is asked for more than are wanted, by how many are expected to pass.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from towers.index import VectorIndex

# Survivors that are compared whatever the index could do. Comparing one takes 0.14 to 0.35
# microseconds (`python -m bench.filtered`, 384 dimensions): 6 ms for this many at most, where the
# index takes 1 to 3 ms and misses some.
SCAN_UP_TO = 20_000
# Most items that the index is asked for. Its recall falls with the depth (on 100,000 titles from
# 0.99 at 200 to 0.96 at this many and 0.86 at 8,000), where a scan is exact.
MAX_FETCH = 2_048
_DEVIATIONS = 3.0  # of the number expected to pass: one search in a thousand has to ask again
_CHUNK = 512  # vectors gathered at a time: they stay in the processor's cache

Plan = Literal["scan", "index", "index again", "index, then scan"]


@dataclass(frozen=True)
class Filtered:
    """The nearest items that pass a filter, best first.

    Attributes:
        rows: Their rows.
        cosines: Of their vectors with the query's.
        plan: How they were found: by a scan of all items that pass, by the index, by the index
            asked again for more, or by a scan after the index had given too few.
    """

    rows: Int32[np.ndarray, " found"]
    cosines: Float32[np.ndarray, " found"]
    plan: Plan


def nearest(
    index: VectorIndex,
    vectors: Float32[np.ndarray, "items dim"],
    query: Float32[np.ndarray, " dim"],
    k: int,
    allowed: Bool[np.ndarray, " items"],
) -> Filtered:
    """The k nearest items that pass; all of them where fewer do.

    Args:
        index: Of the vectors.
        vectors: Unit vectors of all items.
        query: A query's unit vector.
        k: How many are wanted, 1 or more.
        allowed: Which items pass the filter.
    """
    matches = int(np.count_nonzero(allowed))
    k = min(k, matches)
    share = matches / max(len(allowed), 1)
    tries = 0
    while matches > SCAN_UP_TO and tries < 2 and (fetch := _fetch(k, share)) <= MAX_FETCH:
        rows, cosines = index.search(query[None], fetch)
        passed = allowed[rows[0]]
        found = int(np.count_nonzero(passed))
        tries += 1
        if found >= k:
            plan: Plan = "index" if tries == 1 else "index again"
            return Filtered(rows[0][passed][:k], cosines[0][passed][:k], plan)
        # Near this query fewer items pass than elsewhere.
        share = max(found, 1) / fetch
    best, cosines = scan(vectors, query, k, np.flatnonzero(allowed))
    return Filtered(best, cosines, "index, then scan" if tries else "scan")


def _fetch(k: int, share: float) -> int:
    """How many items to fetch so that k of them pass, each with a chance of `share`.

    The number to fetch is negative binomial: k / share at its mean, with a standard deviation of
    sqrt(k (1 - share)) / share.
    """
    return math.ceil((k + _DEVIATIONS * math.sqrt(k * (1 - share))) / share)


def scan(
    vectors: Float32[np.ndarray, "items dim"],
    query: Float32[np.ndarray, " dim"],
    k: int,
    rows: Int64[np.ndarray, " survivors"],
) -> tuple[Int32[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    """The k nearest of some items, equal ones in row order."""
    cosines = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        np.dot(vectors[rows[part]], query, out=cosines[part])
    if k < len(rows):
        # All that are as good as the k-th best, so that its equals are chosen by row.
        enough = np.flatnonzero(cosines >= np.partition(cosines, len(rows) - k)[len(rows) - k])
        rows, cosines = rows[enough], cosines[enough]
    order = np.argsort(-cosines, kind="stable")[:k]
    return rows[order].astype(np.int32), cosines[order]
