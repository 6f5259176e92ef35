"""Measure time and recall of filtered search, to choose constants of `search.channels.filtered`.

    python -m bench.index.filters.plans [DIRECTORY]

The benchmark reads vectors and indexes of 100,000 and of 1,000,000 titles from DIRECTORY (default:
out/bench). It makes missing vectors and indexes; a million titles take an hour. A filter keeps a
random share of the items.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bench.index.ours import built_index
from bench.index.tuning import found_share
from bench.index.vectors import key, make
from search.channels import filtered
from towers.exact import nearest_of
from towers.index import VectorIndex, open_index
from towers.sketch import Sketch, open_sketch
from towers.vectors import Vectors, open_vectors

K = 200
SHARES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95)
ITEMS = (100_000, 1_000_000)
_QUERIES = 20  # timed queries


@dataclass(frozen=True)
class FilteredConfig:
    """Options of `python -m bench.index.filters.plans`."""

    directory: tyro.conf.Positional[Path] = Path("out/bench")  # directory of vectors and indexes


def measured(call: Callable[[np.ndarray], Any], queries: np.ndarray) -> tuple[float, list[Any]]:
    """After a warm-up query, return the median milliseconds per query, and all answers."""
    call(queries[0])
    milliseconds, answers = [], []
    for query in queries:
        start = time.perf_counter()
        answers.append(call(query))
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return statistics.median(milliseconds), answers


def scanned(vectors: Vectors, rows: np.ndarray, k: int, query: np.ndarray) -> np.ndarray:
    """Return the k nearest among the given rows, by exact search."""
    return nearest_of(vectors, query, k, rows)[0]


def nearest(
    index: VectorIndex, sketch: Sketch, vectors: Vectors, allowed: np.ndarray, query: np.ndarray
) -> filtered.Filtered:
    """Return the K nearest rows that pass the filter, by the plan that `filtered` chooses."""
    return filtered.nearest(index, sketch, vectors, query, K, allowed)


def plans(vectors: Vectors, queries: np.ndarray, index: VectorIndex, sketch: Sketch) -> None:
    """Print, for each share of items, the times of an exact scan and of the chosen plan."""
    random = np.random.default_rng(0)
    for share in SHARES:
        allowed = random.random(len(vectors)) < share
        rows = np.flatnonzero(allowed)
        scan, exact = measured(partial(scanned, vectors, rows, K), queries)
        planned, answers = measured(partial(nearest, index, sketch, vectors, allowed), queries)
        recall = found_share(exact, [answer.rows for answer in answers])
        names = ", ".join(sorted({answer.plan for answer in answers}))
        sys.stdout.write(
            f"{len(rows):9,} of {len(vectors):,} pass: scan {scan:6.1f} ms, planned {planned:6.1f} "
            f"ms ({names}), recall@{K} {recall:.4f}\n"
        )
        sys.stdout.flush()


def main(config: FilteredConfig) -> None:
    """Measure filtered search for each number of items, and print the results."""
    for items in ITEMS:
        file, queries = make(config.directory / "vectors", items)
        tuned = queries[len(queries) // 2 :]
        built = built_index(config.directory / f"index-{items}-{key()}", file, tuned, K)
        vectors = open_vectors(built)
        sketch = open_sketch(built, vectors, tuned)
        assert sketch is not None
        plans(vectors, queries[:_QUERIES], open_index(built), sketch)


if __name__ == "__main__":
    main(tyro.cli(FilteredConfig, prog="python -m bench.index.filters.plans"))
