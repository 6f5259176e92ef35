"""Compare the vector index with hnswlib, faiss and usearch: one core, one query at a time.

Each contestant uses the search effort that reaches the recall target in the least time on one half
of the queries, and is timed on the other half.
"""

from functools import partial
from pathlib import Path

import numpy as np

from bench.harness.rows import OURS, Measurement, Row, Sizes
from bench.index import vectors
from bench.index.ours import our_index
from bench.index.peers import faiss_index, hnswlib_index, partitions, usearch_index
from bench.index.searching import Asked, Contestants, compare_searches
from towers.exact import ExactIndex
from towers.vectors import Stored

K = 10
# Recall targets, and the type of our vectors: rounded to int8, exact search itself has a recall of
# 0.991.
TARGETS: dict[float, Stored] = {0.95: "int8", 0.99: "bfloat16"}
ITEMS = {"100k": 100_000, "1m": 1_000_000}
ROUNDS = 7
# Larger indexes are compared with the best of each kind alone: to build the others takes hours.
_ALL_UP_TO = 100_000
_TOLERANCE = 0.005  # the timed queries are not the queries that tune the effort
_PACKAGES = ("faiss-cpu", "hnswlib", "numpy", "scann", "usearch")


def index_row(items: int, target: float, work: Path, sizes: Sizes) -> Row:
    """Search with each index at one recall target."""
    items, rounds = min(items, sizes.vectors), sizes.rounds or ROUNDS
    file, queries = vectors.make(work / "vectors", items)
    exact = ExactIndex(np.load(file, mmap_mode="r"))
    tuning, timed = np.split(queries[: sizes.queries], 2)
    tuning_asked, timed_asked = (
        Asked([(query,) for query in part], exact.search(part, K)[0]) for part in (tuning, timed)
    )
    contestants = compare_searches(
        _contestants(work / f"index-{items}-{vectors.key()}", file, items, tuning, TARGETS[target]),
        items,
        tuning_asked,
        timed_asked,
        target,
        _TOLERANCE,
        rounds,
    )
    title = f"find the {K} nearest of {items:,} vectors at a recall of {target}"
    return Row(title, "queries", rounds, contestants)


def _contestants(
    directory: Path, file: Path, items: int, tuning: np.ndarray, stored: Stored
) -> Contestants:
    common, ivf = (directory, file, K), f"IVF{partitions(items)}"
    kinds = [f"{ivf},PQ192x4fs,Refine(SQfp16)", f"{ivf},SQ8", "HNSW32"]
    others: Contestants = {}
    if items > _ALL_UP_TO:
        kinds.append(f"IVF{4 * partitions(items)},PQ192x4fs,Refine(SQfp16)")
    else:
        kinds += [
            f"{ivf},PQ192x4fs,RFlat",
            "PQ192x4fs,RFlat",
            f"{ivf},RaBitQfs,Refine(SQfp16)",
            "HNSW32,SQ8",
        ]
        others = {
            "hnswlib, M 16": (hnswlib_index, (*common, 16)),
            "hnswlib, M 32": (hnswlib_index, (*common, 32)),
            "usearch, bfloat16, M 16": (usearch_index, common),
        }
    return {
        OURS: (our_index, (*common, tuning, stored)),
        **{f"faiss {kind}": (faiss_index, (*common, kind)) for kind in kinds},
        **others,
    }


INDEXES = tuple(
    Measurement(f"index-{name}-{target}", __name__, _PACKAGES, partial(index_row, items, target))
    for name, items in ITEMS.items()
    for target in TARGETS
)
