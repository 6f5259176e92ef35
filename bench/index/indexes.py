"""Compare the vector index with hnswlib, faiss and usearch: one thread, one query at a time.

Each contestant uses the least search effort that reaches the recall target on one half of the
queries, and is timed on the other half. Indexes are built once and stored for later runs.
"""

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import towers.exact
import towers.index
import towers.scann
import towers.sketch
import towers.vectors
from bench.harness.contest import Setups, Timed, Work, contest
from bench.index import vectors
from bench.report.results import Row
from towers.exact import ExactIndex, recall
from towers.index import IndexConfig, build_index, open_index
from towers.scann import ScannIndex, least_effort
from towers.vectors import Stored

ITEMS = 100_000
K = 10
TARGETS = (0.95, 0.99)
_IVF_UP_TO = 200_000  # maximum number of items for IVF, which is by far the slowest
# Share of the nearest items that rescoring in bfloat16 loses. It is added to the recall target of
# `least_effort`, which measures recall before rescoring and does not see this loss.
_ROUNDED_AWAY = 0.003
_BUILD_EFFORT = 200  # efConstruction of all graphs; higher values hardly improve recall here
_EFFORTS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)

Rows = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Answers:
    """A contestant's answers: the rows of items for each query, and the size of its index."""

    rows: Rows
    bytes_per_item: float


def indexes(directory: Path, rounds: int, items: int = ITEMS) -> list[Row]:
    """Run the comparison; return one report row per recall target and contestant."""
    directory = directory / f"index-{items}-{vectors.key()}"
    file, asked = vectors.make(directory.parent / "vectors", items)
    half = len(asked) // 2
    inputs = (directory, file, asked[:half], asked[half:])
    exact, cosines = ExactIndex(np.load(file, mmap_mode="r")).search(asked[half:], K)
    first, last = np.median(cosines[:, 0]), np.median(cosines[:, -1])
    sys.stderr.write(f"nearest items' cosines, medians: {first:.2f} first, {last:.2f} {K}th\n")
    rows = []
    for target in TARGETS:
        setups: Setups = {
            "ours": (_scann, (target, *inputs)),
            "hnswlib, M 16": (_hnswlib, (target, *inputs, 16)),
            "hnswlib, M 32": (_hnswlib, (target, *inputs, 32)),
            "faiss, HNSW, M 32": (_faiss, (target, *inputs, "HNSW32")),
            "usearch, bfloat16, M 16": (_usearch, (target, *inputs)),
        }
        if items <= _IVF_UP_TO:
            kind = f"IVF{round(items**0.5)},Flat"
            setups = {**setups, "faiss, IVF": (_faiss, (target, *inputs, kind))}
        results = contest(setups, rounds)
        ours = results["ours"]
        for name, timed in results.items():
            if name == "ours":
                continue
            recalls = [recall(exact, times.answer.rows) for times in (ours, timed)]
            rows.append(
                Row(
                    f"search {items:,} vectors, recall@{K} ≥ {target}",
                    name,
                    ours.faster_than(timed),
                    _figures(ours, half),
                    _figures(timed, half),
                    min(recalls) >= target - 0.005,  # tolerance, as other queries set the effort
                    f"recall theirs {recalls[1]:.4f}, ours {recalls[0]:.4f}",
                    len(ours.seconds),
                )
            )
    return rows


def _figures(timed: Timed, queries: int) -> str:
    rate = queries / float(np.median(timed.seconds))
    return f"{rate:,.0f} queries/s, {timed.answer.bytes_per_item:,.0f} B/item"


def _scann(target: float, directory: Path, file: Path, tune: np.ndarray, asked: np.ndarray) -> Work:
    built = kept(directory, target, file, tune, "bfloat16")
    index, stored = open_index(built), np.load(file, mmap_mode="r")
    assert isinstance(index, ScannIndex)
    # For our index too, recall is measured against the unrounded vectors.
    index.effort = least_effort(index, stored, tune, K, target + _ROUNDED_AWAY)
    size = sum(path.stat().st_size for path in built.iterdir())
    return _one_by_one(lambda query: index.search(query, K)[0][0], asked, size, file)


def kept(
    directory: Path, target: float, file: Path, tune: np.ndarray, stored: Stored = "float32"
) -> Path:
    """Return the directory of our index of a vector file; build it once per version of the code."""
    built = directory / f"scann-{stored}-{target}-{_source()}"
    if not built.is_dir():
        unfinished = fresh_path(built)
        config = IndexConfig("scann", recall_target=target, depth=K, vectors=stored)
        build_index(np.load(file, mmap_mode="r"), unfinished, config, tune)
        unfinished.rename(built)
    return built


def _source() -> str:
    """Return a short hash of the code that builds our index."""
    files = (towers.exact, towers.index, towers.scann, towers.sketch, towers.vectors)
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in files)
    return hashlib.sha256(code).hexdigest()[:8]


def _hnswlib(
    target: float, directory: Path, file: Path, tune: np.ndarray, asked: np.ndarray, m: int
) -> Work:
    import hnswlib

    stored, built = np.load(file, mmap_mode="r"), directory / f"hnswlib-{m}"
    index = hnswlib.Index("ip", stored.shape[1])
    if not built.is_file():
        index.init_index(len(stored), ef_construction=_BUILD_EFFORT, M=m)
        index.add_items(stored)
        index.save_index(str(fresh_path(built)))
        unfinished_path(built).rename(built)
    else:
        index.load_index(str(built))

    def search(query: np.ndarray) -> Rows:
        rows: Rows = index.knn_query(query, K, num_threads=1)[0][0]
        return rows

    _tune(index.set_ef, search, target, stored, tune)
    return _one_by_one(search, asked, built.stat().st_size, file)


def _faiss(
    target: float, directory: Path, file: Path, tune: np.ndarray, asked: np.ndarray, kind: str
) -> Work:
    stored = np.load(file, mmap_mode="r")
    index, size = faiss_index(directory, stored, kind)

    def search(query: np.ndarray) -> Rows:
        rows: Rows = index.search(query, K)[1][0]
        return rows

    def effort(value: int) -> None:
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = value
        else:
            index.nprobe = min(value, index.nlist)

    _tune(effort, search, target, stored, tune)
    return _one_by_one(search, asked, size, file)


def faiss_index(directory: Path, stored: np.ndarray, kind: str) -> tuple[Any, int]:
    """Open a faiss index for one thread; build it if missing. Return the index and its bytes."""
    import faiss

    built = directory / f"faiss-{kind}"
    if not built.is_file():
        index = faiss.index_factory(stored.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = _BUILD_EFFORT
        index.train(stored)
        index.add(stored)
        faiss.write_index(index, str(fresh_path(built)))
        unfinished_path(built).rename(built)
    index = faiss.read_index(str(built))
    faiss.omp_set_num_threads(1)
    return index, built.stat().st_size


def _usearch(
    target: float, directory: Path, file: Path, tune: np.ndarray, asked: np.ndarray
) -> Work:
    from usearch.index import Index

    stored, built = np.load(file, mmap_mode="r"), directory / "usearch"
    index = Index(
        ndim=stored.shape[1],
        metric="ip",
        dtype="bf16",
        connectivity=16,
        expansion_add=_BUILD_EFFORT,
    )
    if not built.is_file():
        index.add(np.arange(len(stored)), stored)
        index.save(str(fresh_path(built)))
        unfinished_path(built).rename(built)
    else:
        index.load(str(built))

    def search(query: np.ndarray) -> Rows:
        rows: Rows = index.search(query[0], K, threads=1).keys
        return rows

    _tune(lambda value: setattr(index, "expansion_search", value), search, target, stored, tune)
    return _one_by_one(search, asked, built.stat().st_size, file)


def _tune(
    set_effort: Callable[[int], Any],
    search: Callable[[np.ndarray], Rows],
    target: float,
    stored: np.ndarray,
    queries: np.ndarray,
) -> None:
    """Set the least effort that reaches the target, or the maximum if no effort does."""
    exact, _ = ExactIndex(stored).search(queries, K)
    for effort in _EFFORTS:
        set_effort(effort)
        if recall(exact, np.stack([search(query[None]) for query in queries])) >= target:
            return


def _one_by_one(
    search: Callable[[np.ndarray], Rows], queries: np.ndarray, size: int, file: Path
) -> Work:
    items = len(np.load(file, mmap_mode="r"))
    return lambda: Answers(np.stack([search(query[None]) for query in queries]), size / items)


def fresh_path(built: Path) -> Path:
    """Return an unused path for an unfinished index; for ScaNN, create a directory there."""
    unfinished = unfinished_path(built)
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished if built.name.startswith("scann") else built.parent).mkdir(
        parents=True, exist_ok=True
    )
    return unfinished


def unfinished_path(built: Path) -> Path:
    """Return the path of an unfinished index; a complete index is renamed to `built`."""
    return built.with_name(built.name + ".unfinished")
