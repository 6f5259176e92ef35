"""Find the nearest items among those that pass a filter, by the cheapest of three plans.

The vector index cannot filter. The number of items that pass decides the plan:

- Few items pass: a scan compares the query with the vectors of all items that pass.
- More items pass: the sketch (see `towers.sketch`) selects items that are probably near. Only the
  vectors of these items are compared with the query. The sketch reads a thirtieth of the bytes of
  the vectors, and the build of the sketch measures its error.
- Nearly all items pass: the index returns more items than needed, and the items that do not pass
  are dropped.

Every plan returns k items if at least k items pass.
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

# A scan is used if the number of items that pass is at most the larger of two limits: SCAN_UP_TO
# items, and SCAN_SHARE of all items. A scan takes 0.14 to 0.35 microseconds per item that passes
# (`python -m bench.index.filters.plans`, 384 dimensions). The sketch takes 3 nanoseconds per item
# of the catalogue, so the sketch is faster if many items pass.
SCAN_UP_TO = 5_000
SCAN_SHARE = 0.02
# The index is used if at least this share of items passes. The index has slightly lower recall than
# the sketch, but its time grows more slowly with the size of the catalogue.
INDEX_FROM = 0.9
MAX_FETCH = 2_048  # most items to fetch from the index; larger shapes are not compiled
# Safety margin of `enough`, in standard deviations. With 3 deviations, too few of the fetched items
# pass in one search of a thousand, and the sketch is used instead.
_DEVIATIONS = 3.0
# The search first compares this number times k items. The k-th largest of their cosines decides
# which other items are compared.
_FIRST = 2
# An item is compared if its estimate is at most this number of standard deviations below the k-th
# cosine. 0.5% of the nearest items have lower estimates and are missed. With 2 deviations, more
# than 1% of the nearest items would be missed.
_MARGIN = 2.5

Plan = Literal["scan", "sketch", "index", "index, then sketch"]


@dataclass(frozen=True)
class Filtered:
    """The nearest items that pass a filter, best first.

    Attributes:
        rows: Rows of the items.
        cosines: Cosines of the items' vectors with the query's vector.
        plan: How the items were found: by a scan of all passing items, by the sketch, by the index,
            or by the sketch after the index returned too few.
    """

    rows: Int32[np.ndarray, " items"]
    cosines: Float32[np.ndarray, " items"]
    plan: Plan


def nearest(
    index: VectorIndex,
    sketch: Sketch | None,
    vectors: Vectors,
    query: Float32[np.ndarray, " dim"],
    k: int,
    allowed: Bool[np.ndarray, " items"],
    *,
    scan_up_to: int = SCAN_UP_TO,
    scan_share: float = SCAN_SHARE,
) -> Filtered:
    """Return the k nearest items that pass a filter; fewer only if fewer pass.

    Args:
        index: The index of the vectors.
        sketch: The sketch of the vectors; None: the query is compared with all items that pass.
        vectors: Unit vectors of all items.
        query: The query's unit vector.
        k: Number of items to return, 1 or more.
        allowed: Mask of the items that pass the filter.
        scan_up_to: A scan is used if at most this number of items pass.
        scan_share: A scan is also used if at most this share of all items passes.
    """
    matches = int(np.count_nonzero(allowed))
    k = min(k, matches)
    if sketch is None or matches <= max(scan_up_to, scan_share * len(allowed)):
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
    """Return the number of items to fetch so that almost surely k of them pass.

    Each item passes with probability `share`, above 0. The number of fetched items until k pass has
    a negative binomial distribution with mean k / share and standard deviation sqrt(k (1 - share))
    / share.
    """
    return math.ceil((k + _DEVIATIONS * math.sqrt(k * (1 - share))) / share)


def _sketched(
    sketch: Sketch,
    vectors: Vectors,
    query: Float32[np.ndarray, " dim"],
    k: int,
    allowed: Bool[np.ndarray, " items"],
) -> tuple[Int32[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    """Return the k nearest items that pass, by the sketch; a few are missed (see `_MARGIN`)."""
    estimates = sketch.estimates(query, allowed)
    bound = estimates.bound(_FIRST * k)
    rows, cosines = nearest_of(vectors, query, k, estimates.rows(bound))
    # If an item is nearer than the k-th of these items, its estimate is probably at least `low`.
    low = float(cosines[-1]) - _MARGIN * sketch.deviation if k else bound
    if low >= bound:
        return rows, cosines
    more_rows, more_cosines = nearest_of(vectors, query, k, estimates.rows(low, below=bound))
    rows = np.concatenate([rows, more_rows])
    cosines = np.concatenate([cosines, more_cosines])
    best = np.lexsort((rows, -cosines))[:k]
    return rows[best], cosines[best]
