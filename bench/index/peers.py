"""Indexes of hnswlib, faiss and usearch. An index is built once, and stored for later runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.index.tuning import Effort, OpenIndex, Rows, Search, ladder

_BUILD_EFFORT = 200  # efConstruction of all graphs; higher values hardly improve recall here
GRAPH_VISITS = ladder(2048, 10)
RESCORED = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0)


def partitions(items: int) -> int:
    """Return a number of partitions for IVF, such as 256 for 100,000 items."""
    return int(2 ** round(np.log2(items**0.5)))


def stored_once(built: Path, build: Callable[[Path], Any]) -> Path:
    """Return the path of an index; if it is missing, build it at a temporary path first."""
    if not built.exists():
        unfinished = built.with_name(built.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        build(unfinished)
        unfinished.rename(built)
    return built


def hnswlib_index(directory: Path, file: Path, k: int, m: int) -> OpenIndex:
    """Open an index of hnswlib with m neighbours per node."""
    import hnswlib

    stored = np.load(file, mmap_mode="r")

    def build(path: Path) -> None:
        index = hnswlib.Index("ip", stored.shape[1])
        index.init_index(len(stored), ef_construction=_BUILD_EFFORT, M=m)
        index.add_items(stored)
        index.save_index(str(path))

    built = stored_once(directory / f"hnswlib-{m}", build)
    index = hnswlib.Index("ip", stored.shape[1])
    index.load_index(str(built))

    def configure(effort: Effort) -> Search:
        index.set_ef(effort.visits)

        def search(query: np.ndarray) -> Rows:
            rows: Rows = index.knn_query(query, k, num_threads=1)[0][0]
            return rows

        return search

    return OpenIndex(configure, GRAPH_VISITS, built.stat().st_size)


def usearch_index(directory: Path, file: Path, k: int) -> OpenIndex:
    """Open an index of usearch with vectors in bfloat16 and 16 neighbours per node."""
    from usearch.index import Index

    stored = np.load(file, mmap_mode="r")
    shape = {"ndim": stored.shape[1], "metric": "ip", "dtype": "bf16", "connectivity": 16}

    def build(path: Path) -> None:
        index = Index(**shape, expansion_add=_BUILD_EFFORT)
        index.add(np.arange(len(stored)), stored)
        index.save(str(path))

    built = stored_once(directory / "usearch", build)
    index = Index(**shape)
    index.load(str(built))

    def configure(effort: Effort) -> Search:
        index.expansion_search = effort.visits

        def search(query: np.ndarray) -> Rows:
            rows: Rows = index.search(query, k, threads=1).keys
            return rows

        return search

    return OpenIndex(configure, GRAPH_VISITS, built.stat().st_size)


def faiss_index(directory: Path, file: Path, k: int, kind: str) -> OpenIndex:
    """Open an index of faiss; `kind` is the text of faiss's index factory."""
    index, built = open_faiss(directory, file, kind)
    inner = base_of(index)

    def configure(effort: Effort) -> Search:
        if hasattr(inner, "hnsw"):
            inner.hnsw.efSearch = effort.visits
        elif hasattr(inner, "nlist"):
            inner.nprobe = effort.visits
        if inner is not index:
            index.k_factor = effort.rescored

        def search(query: np.ndarray) -> Rows:
            rows: Rows = index.search(query[None], k)[1][0]
            return rows

        return search

    rescored = (1.0,) if inner is index else RESCORED
    return OpenIndex(configure, faiss_visits(inner), built.stat().st_size, rescored)


def open_faiss(directory: Path, file: Path, kind: str) -> tuple[Any, Path]:
    """Open an index of faiss for one thread; return the index and its file."""
    import faiss

    stored = np.load(file, mmap_mode="r")

    def build(path: Path) -> None:
        index = faiss.index_factory(stored.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = _BUILD_EFFORT
        index.train(stored)
        index.add(stored)
        faiss.write_index(index, str(path))

    built = stored_once(directory / f"faiss-{kind}", build)
    index = faiss.read_index(str(built))
    faiss.omp_set_num_threads(1)
    return index, built


def base_of(index: Any) -> Any:
    """Return the index that finds the candidates: for a refined index of faiss, the inner one."""
    import faiss

    return faiss.downcast_index(index.base_index) if hasattr(index, "k_factor") else index


def faiss_visits(index: Any) -> list[int]:
    """Return the numbers of partitions or graph nodes to try; [0] for an index without both."""
    if hasattr(index, "hnsw"):
        return GRAPH_VISITS
    return ladder(index.nlist) if hasattr(index, "nlist") else [0]
