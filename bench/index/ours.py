"""Shortlist's vector index, as a contestant."""

import math
from pathlib import Path

import numpy as np

from bench.harness import sources
from bench.index.peers import RESCORED, stored_once
from bench.index.tuning import Effort, OpenIndex, Rows, Search, ladder
from towers import scann
from towers.index import IndexConfig, VectorIndex, index_stored, open_index
from towers.vectors import Stored, create_vectors

_CHUNK = 20_000  # vectors copied at a time


def built_index(
    directory: Path, file: Path, queries: np.ndarray, k: int, stored: Stored = "float32"
) -> Path:
    """Return the directory of our index of a vector file; build it once per version of the code."""

    def build(path: Path) -> None:
        path.mkdir()
        config = IndexConfig("scann", recall_target=0.99, depth=k, vectors=stored)
        build_index(np.load(file, mmap_mode="r"), path, config, queries)

    return stored_once(directory / f"shortlist-{stored}-{sources.digest('towers.index')}", build)


def build_index(
    vectors: np.ndarray, directory: Path, config: IndexConfig, queries: np.ndarray
) -> VectorIndex:
    """Write vectors to an existing, empty directory; build their index, and open it."""
    items, dim = vectors.shape
    file = create_vectors(directory, items, dim, config.vectors)
    for start in range(0, items, _CHUNK):
        file[start : start + _CHUNK] = vectors[start : start + _CHUNK]
    file.flush()
    return index_stored(directory, config, queries)


def our_index(
    directory: Path, file: Path, k: int, queries: np.ndarray, stored: Stored
) -> OpenIndex:
    """Open our index with vectors of a type."""
    built = built_index(directory, file, queries, k, stored)
    index = open_index(built)
    assert isinstance(index, scann.ScannIndex)

    def configure(effort: Effort) -> Search:
        candidates = math.ceil(effort.rescored * k)
        index.effort = scann.Effort(effort.rescored, candidates, effort.visits)

        def search(query: np.ndarray) -> Rows:
            rows: Rows = index.search(query[None], k)[0][0]
            return rows

        return search

    visits = ladder(index.leaves) if index.leaves else [0]
    size = sum(path.stat().st_size for path in built.iterdir())
    return OpenIndex(configure, visits, size, RESCORED)
