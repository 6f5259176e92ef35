"""The nearest items among those that pass a filter: which plan is cheapest, and never too few.

The index knows nothing of filters. Where few items pass, all of them are compared with the query.
Of more, those are compared that the sketch of the vectors takes for near; it reads a thirtieth of
what the vectors hold, and knows by how much it may be wrong. Only a filter that hardly keeps any
item out is left to the index, which is asked for a few more than are wanted.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32

from towers.exact import nearest_of
from towers.index import VectorIndex
from towers.sketch import Sketch
from towers.vectors import Vectors

# Survivors that are compared whatever the sketch could do: so many, or this share of all items.
# Comparing one takes 0.14 to 0.35 microseconds (`python -m bench.filtered`, 384 dimensions), an
# estimate of every item 3 nanoseconds for each.
SCAN_UP_TO = 5_000
SCAN_SHARE = 0.02
# Share of items that pass from which the index is asked: it may find fewer of the nearest (its
# recall target) than the sketch does, but its time grows more slowly with the catalogue.
INDEX_FROM = 0.9
MAX_FETCH = 2_048  # most items that the index is asked for: no shape is compiled for more
_DEVIATIONS = 3.0  # of the number expected to pass: one search in a thousand has to ask again
_FIRST = 2  # items compared first, for each that is wanted: they say how good the rest must be
# How far below that an estimate may be, in standard deviations of its error. Half a percent of the
# nearest lie lower; at 2 it is over one.
_MARGIN = 2.5

Plan = Literal["scan", "sketch", "index", "index, then sketch"]


@dataclass(frozen=True)
class Filtered:
    """The nearest items that pass a filter, best first.

    Attributes:
        rows: Their rows.
        cosines: Of their vectors with the query's.
        plan: How they were found: by a scan of all items that pass, of those that the sketch takes
            for near, by the index, or with the sketch after the index had given too few.
    """

    rows: Int32[np.ndarray, " found"]
    cosines: Float32[np.ndarray, " found"]
    plan: Plan


def nearest(
    index: VectorIndex,
    sketch: Sketch | None,
    vectors: Vectors,
    query: Float32[np.ndarray, " dim"],
    k: int,
    allowed: Bool[np.ndarray, " items"],
) -> Filtered:
    """The k nearest items that pass; all of them where fewer do.

    Args:
        index: Of the vectors.
        sketch: Of the vectors; None where all that pass are to be compared.
        vectors: Unit vectors of all items.
        query: A query's unit vector.
        k: How many are wanted, 1 or more.
        allowed: Which items pass the filter.
    """
    matches = int(np.count_nonzero(allowed))
    k = min(k, matches)
    if sketch is None or matches <= max(SCAN_UP_TO, SCAN_SHARE * len(allowed)):
        return Filtered(*nearest_of(vectors, query, k, np.flatnonzero(allowed)), "scan")
    plan: Plan = "sketch"
    share = matches / len(allowed)
    if share >= INDEX_FROM and (fetch := enough(k, share)) <= MAX_FETCH:
        rows, cosines = index.search(query[None], fetch)
        passed = allowed[rows[0]]
        if np.count_nonzero(passed) >= k:
            return Filtered(rows[0][passed][:k], cosines[0][passed][:k], "index")
        plan = "index, then sketch"
    return Filtered(*_sketched(sketch, vectors, query, k, allowed), plan)


def enough(k: int, share: float) -> int:
    """How many items to fetch so that k of them pass, each with a chance of `share` above 0.

    The number to fetch is negative binomial: k / share at its mean, with a standard deviation of
    sqrt(k (1 - share)) / share.
    """
    return math.ceil((k + _DEVIATIONS * math.sqrt(k * (1 - share))) / share)


def _sketched(
    sketch: Sketch,
    vectors: Vectors,
    query: Float32[np.ndarray, " dim"],
    k: int,
    allowed: Bool[np.ndarray, " items"],
) -> tuple[Int32[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    """The k nearest that pass; next to none is missed."""
    estimates = sketch.estimates(query, allowed)
    bound = estimates.bound(_FIRST * k)
    rows, cosines = nearest_of(vectors, query, k, estimates.rows(bound))
    # Who is nearer than the k-th of them has an estimate of about that, or more.
    low = float(cosines[-1]) - _MARGIN * sketch.deviation if k else bound
    if low >= bound:
        return rows, cosines
    more, theirs = nearest_of(vectors, query, k, estimates.rows(low, below=bound))
    rows, cosines = np.concatenate([rows, more]), np.concatenate([cosines, theirs])
    best = np.lexsort((rows, -cosines))[:k]
    return rows[best], cosines[best]
