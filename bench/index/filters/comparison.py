"""Compare filtered search with faiss, LanceDB and a scan in NumPy: one core, one query at a time.

`bench/index/filters/conditions.py` describes the filters. For each filter, some queries tune each
contestant: it uses the search effort that reaches the recall target in the least time. Other
queries are timed. Shortlist and the scan have no setting to tune.
"""

from functools import partial
from pathlib import Path

import numpy as np

from bench.harness.rows import OURS, Measurement, Row, Sizes
from bench.index import vectors
from bench.index.filters import peers
from bench.index.filters.conditions import KINDS, Filters, Kind
from bench.index.peers import partitions
from bench.index.searching import Asked, Contestants, compare_searches

K = 10
TARGET = 0.99
ITEMS = 1_000_000
SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
ROUNDS = 3
_TUNING, _TIMED = 50, 350  # numbers of queries; three rounds of 350 searches give a 99th percentile
_SCAN_UP_TO = 0.01  # greatest share of items for the scan, which is slow if more items pass
_PACKAGES = ("faiss-cpu", "lancedb", "numpy", "scann")


def filter_row(kind: Kind, share: float, work: Path, sizes: Sizes) -> Row:
    """Search with each contestant among the items that pass one filter."""
    items, rounds = min(ITEMS, sizes.vectors), sizes.rounds or ROUNDS
    file, queries = vectors.make(work / "vectors", items)
    directory, stored = work / f"index-{items}-{vectors.key()}", np.load(file, mmap_mode="r")
    filters = Filters(directory, stored)
    tuned, others = np.split(queries[: sizes.queries], 2)

    def asked(queries: np.ndarray) -> Asked:
        conditions = [filters.condition(kind, share, query) for query in queries]
        exact = filters.exact(stored, queries, conditions, K)
        return Asked(list(zip(queries, conditions, strict=True)), exact)

    contestants = compare_searches(
        _contestants(directory, file, items, share, tuned),
        items,
        asked(others[:_TUNING]),
        asked(others[_TUNING : _TUNING + _TIMED]),
        TARGET,
        0.0,
        rounds,
    )
    where = {"random": "at random", "near": "near the query", "far": "far from the query"}[kind]
    title = f"find the {K} nearest of {items:,} vectors; a filter keeps {share:.2%}, {where}"
    return Row(title, "queries", rounds, contestants)


def _contestants(
    directory: Path, file: Path, items: int, share: float, queries: np.ndarray
) -> Contestants:
    common, ivf = (directory, file, K), f"IVF{partitions(items)}"
    kinds = (f"{ivf},PQ192x4fs,Refine(SQfp16)", f"{ivf},SQ8", "HNSW32")
    contestants: Contestants = {
        OURS: (peers.ours, (*common, queries)),
        **{f"faiss {kind}": (peers.faiss_index, (*common, kind)) for kind in kinds},
        "LanceDB, IVF_PQ": (peers.lancedb_index, common),
    }
    if share <= _SCAN_UP_TO:
        contestants["NumPy, scan"] = (peers.scan, common)
    return contestants


FILTERS = tuple(
    Measurement(f"filter-{kind}-{share:g}", __name__, _PACKAGES, partial(filter_row, kind, share))
    for kind in KINDS
    for share in SHARES
)
