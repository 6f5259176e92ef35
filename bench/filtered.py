"""What a filter costs, and what its plans find: the figures that `search/filtered.py` chooses by.

    python -m bench.filtered [DIRECTORY]

DIRECTORY (out/bench) is where `make bench` has left vectors and an index of 100,000 titles. A
million are measured too where their vectors lie beside them. Filters are random shares of items.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search import filtered
from towers.index import VectorIndex, open_index

K = 200
SHARES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.5, 0.9)
DEPTHS = (200, 500, 1_000, 2_048, 4_000, 8_000)
_QUERIES = 20


def measured(call: Callable[[np.ndarray], Any], queries: np.ndarray) -> tuple[float, list[Any]]:
    """Median milliseconds of a query, and all answers; the first query warms up before."""
    call(queries[0])
    taken, answers = [], []
    for query in queries:
        start = time.perf_counter()
        answers.append(call(query))
        taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken), answers


def scanned(vectors: np.ndarray, rows: np.ndarray, k: int, query: np.ndarray) -> np.ndarray:
    """The k nearest of some rows, exactly."""
    return filtered.scan(vectors, query, k, rows)[0]


def nearest(
    index: VectorIndex, vectors: np.ndarray, allowed: np.ndarray, query: np.ndarray
) -> filtered.Filtered:
    """The K nearest that pass, as planned."""
    return filtered.nearest(index, vectors, query, K, allowed)


def fetched(index: VectorIndex, k: int, query: np.ndarray) -> np.ndarray:
    """The k nearest that the index gives."""
    return index.search(query[None], k)[0][0]


def found(exact: list[np.ndarray], rows: list[np.ndarray]) -> float:
    """Which share of the exact rows was found, over all queries."""
    pairs = zip(exact, rows, strict=True)
    return statistics.mean(len(np.intersect1d(a, b)) / max(len(a), 1) for a, b in pairs)


def plans(vectors: np.ndarray, queries: np.ndarray, index: VectorIndex | None) -> None:
    """Print what each share costs, scanned and as planned; without an index, scanned alone."""
    random = np.random.default_rng(0)
    for share in SHARES:
        allowed = random.random(len(vectors)) < share
        rows = np.flatnonzero(allowed)
        scan, exact = measured(partial(scanned, vectors, rows, K), queries)
        line = f"{len(rows):9,} of {len(vectors):,} pass: scan {scan:6.1f} ms"
        if index is not None:
            planned, answers = measured(partial(nearest, index, vectors, allowed), queries)
            recall = found(exact, [answer.rows for answer in answers])
            names = ", ".join(sorted({answer.plan for answer in answers}))
            line += f", planned {planned:6.1f} ms ({names}), recall@{K} {recall:.4f}"
        print(line, flush=True)  # noqa: T201


def depths(vectors: np.ndarray, queries: np.ndarray, index: VectorIndex) -> None:
    """Print what fetching so many from the index costs, and how many of the nearest these are."""
    everything = np.arange(len(vectors))
    for k in DEPTHS:
        taken, answers = measured(partial(fetched, index, k), queries)
        exact = [scanned(vectors, everything, k, query) for query in queries]
        print(f"fetch {k:5,}: {taken:5.1f} ms, recall {found(exact, answers):.4f}")  # noqa: T201


def main() -> None:
    """Print what was measured."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "out/bench")
    queries = np.load(directory / "vectors" / "queries.npy")[:_QUERIES]
    vectors = np.load(directory / "vectors" / "titles-100000.npy", mmap_mode="r")
    index = open_index(directory / "index-100000" / "scann-0.99")
    depths(vectors, queries, index)
    plans(vectors, queries, index)
    million = directory / "vectors" / "titles-1000000.npy"
    if million.is_file():
        plans(np.load(million, mmap_mode="r"), queries, None)


if __name__ == "__main__":
    main()
