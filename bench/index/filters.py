"""Compare filtered search with faiss and LanceDB, on one core.

    python -m bench.index.filters [--items 1000000] [--rounds 3]

A filter keeps a share of all items. There are three kinds of filters:

- `random` keeps random items;
- `near` keeps the cells nearest to the query;
- `far` keeps the cells farthest from the query.

Cells behave like categories. 1,000 random items are the centres of the cells, and every item
belongs to the cell of its nearest centre. To reach the share exactly, `near` and `far` keep only a
random part of the last cell's items.

For each filter, some queries tune each contestant, and other queries time it. Tuning chooses the
least search effort that reaches a recall@10 of 0.99, or the maximum effort if no effort reaches
this recall. Shortlist has a single effort setting.

Shortlist and faiss receive a mask of the items that pass the filter. LanceDB finds these items with
indexes of its columns. usearch is not compared because its Python interface takes no filter.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bench.harness.contest import Setup, Setups, Timed, Work, contests
from bench.index import vectors
from bench.index.indexes import K, faiss_index, kept
from bench.report.results import Row, markdown, write
from search.channels import filtered
from towers.exact import nearest_of
from towers.index import open_index
from towers.sketch import open_sketch
from towers.vectors import open_vectors

TARGET = 0.99
SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
KINDS = ("random", "near", "far")
_CELLS = 1_000
_TUNE, _ASKED = 20, 60  # numbers of queries for tuning and for timing
_EFFORTS = (16, 64, 256, 1024)
_SEED = 0


@dataclass(frozen=True)
class FiltersConfig:
    """Options of `python -m bench.index.filters`."""

    items: int = 1_000_000  # number of titles; encoding a million titles takes an hour
    rounds: int = 3  # timed rounds of each contestant and filter
    work: Path = Path("out/bench")  # directory of vectors and indexes
    results: Path = Path("bench/results.json")  # file for the results
    # contestants to compare with
    against: tuple[str, ...] = ("faiss, HNSW, M 32", "faiss, IVF", "LanceDB, IVF_PQ")


@dataclass(frozen=True)
class Kept:
    """The items that a filter keeps: whole cells, and a random part of one cell or of all items."""

    cells: np.ndarray  # cells whose items are all kept
    last: int  # the cell that is kept in part; -1: a part of all items is kept
    below: float  # of `last`, items with a random number below this value are kept


class Filters:
    """The filters over one set of vectors; they are the same in every process."""

    def __init__(self, directory: Path, stored: np.ndarray) -> None:
        """Read the cells of the items, or compute them."""
        self.centres, self.cell = _cells(directory, stored)
        self.number = np.random.default_rng(_SEED).random(len(stored))  # a random number per item
        self._size = np.bincount(self.cell, minlength=len(self.centres))

    def kept(self, kind: str, share: float, query: np.ndarray) -> Kept:
        """Return the items that a filter of this kind and share keeps for a query."""
        if kind == "random":
            return Kept(np.zeros(0, np.int32), -1, share)
        closeness = self.centres @ query
        order = np.argsort(-closeness if kind == "near" else closeness)
        cumulative = np.cumsum(self._size[order])
        target = round(share * len(self.cell))
        whole_count = int(np.searchsorted(cumulative, target, side="right"))
        missing = target - (cumulative[whole_count - 1] if whole_count else 0)
        cell_numbers = np.sort(self.number[self.cell == order[whole_count]])
        below = float(np.append(cell_numbers, 1.0)[missing])
        return Kept(order[:whole_count], int(order[whole_count]), below)

    def mask(self, kept: Kept) -> np.ndarray:
        """Return a mask of the kept items."""
        low = self.number < kept.below
        if kept.last < 0:
            return np.asarray(low)
        whole = np.zeros(len(self.centres), bool)
        whole[kept.cells] = True
        return np.asarray(whole[self.cell] | ((self.cell == kept.last) & low))


def _cells(directory: Path, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    file = directory / "cells.npz"
    chosen = np.random.default_rng(_SEED).choice(len(stored), _CELLS, replace=False)
    centres = stored[np.sort(chosen)]
    if not file.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        parts = range(0, len(stored), 20_000)
        near = [(stored[start : start + 20_000] @ centres.T).argmax(axis=1) for start in parts]
        np.savez(file, cell=np.concatenate(near).astype(np.int32))
    with np.load(file) as arrays:
        return centres, arrays["cell"]


@dataclass(frozen=True)
class Answers:
    """A contestant's answers and times.

    Attributes:
        rows: The K nearest rows of each query; -1 for missing rows.
        milliseconds: The time of each query.
        effort: The search effort.
    """

    rows: np.ndarray
    milliseconds: np.ndarray
    effort: int


# The function that prepares a filter; its time is not measured. It returns the search function for
# the filtered items, which takes a query and a search effort.
Prepare = Callable[[Kept], Callable[[np.ndarray, int], Any]]


def _work(
    directory: Path, file: Path, asked: np.ndarray, prepare: Prepare, efforts: tuple[int, ...]
) -> Work:
    """Return a function that tunes once per filter on the first queries, and times the others."""
    stored = np.load(file, mmap_mode="r")
    filters = Filters(directory, stored)
    chosen: dict[tuple[str, float], int] = {}

    def answers(kind: str, share: float, queries: np.ndarray, effort: int) -> Answers:
        rows, milliseconds = np.full((len(queries), K), -1), []
        for number, query in enumerate(queries):
            search = prepare(filters.kept(kind, share, query))
            start = time.perf_counter()
            hits = search(query, effort)
            milliseconds.append(1e3 * (time.perf_counter() - start))
            rows[number, : len(hits)] = hits
        return Answers(rows, np.array(milliseconds), effort)

    def work(kind: str, share: float) -> tuple[float, Answers]:
        tune, others = asked[:_TUNE], asked[_TUNE : _TUNE + _ASKED]
        if (kind, share) not in chosen:
            exact = exactly(filters, stored, kind, share, tune)
            for effort in efforts:
                chosen[kind, share] = effort
                if found_share(exact, answers(kind, share, tune, effort).rows) >= TARGET:
                    break
        timed = answers(kind, share, others, chosen[kind, share])
        return timed.milliseconds.sum() / 1e3, timed

    return work


def exactly(
    filters: Filters, stored: np.ndarray, kind: str, share: float, queries: np.ndarray
) -> np.ndarray:
    """Return the K nearest rows that pass the filter, by exact search; -1 for missing rows."""
    rows = np.full((len(queries), K), -1)
    for number, query in enumerate(queries):
        passing = np.flatnonzero(filters.mask(filters.kept(kind, share, query)))
        best = nearest_of(stored, query, min(K, len(passing)), passing)[0]
        rows[number, : len(best)] = best
    return rows


def found_share(exact: Iterable[np.ndarray], rows: Iterable[np.ndarray]) -> float:
    """Return the recall of `rows`; a query may have fewer than K rows."""
    pairs = [(a[a >= 0], b[b >= 0]) for a, b in zip(exact, rows, strict=True)]
    return sum(len(np.intersect1d(a, b)) for a, b in pairs) / sum(len(a) for a, _ in pairs)


def _pinned(setup: Setup, *arguments: Any) -> Work:
    """Set up a contestant on one core; all threads that it starts run on this core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return setup(*arguments)


def _ours(directory: Path, file: Path, asked: np.ndarray, tuned: np.ndarray) -> Work:
    stored, built = np.load(file, mmap_mode="r"), kept(directory, TARGET, file, tuned)
    index, vectors = open_index(built), open_vectors(built)
    sketch = open_sketch(built, vectors, tuned)
    filters = Filters(directory, stored)

    def prepare(kept: Kept) -> Callable[[np.ndarray, int], Any]:
        mask = filters.mask(kept)
        return lambda query, _: filtered.nearest(index, sketch, vectors, query, K, mask).rows

    return _work(directory, file, asked, prepare, (0,))


def _faiss(directory: Path, file: Path, asked: np.ndarray, kind: str) -> Work:
    import faiss

    stored = np.load(file, mmap_mode="r")
    filters, (index, _) = Filters(directory, stored), faiss_index(directory, stored, kind)
    graph = hasattr(index, "hnsw")

    def prepare(kept: Kept) -> Callable[[np.ndarray, int], Any]:
        bits = np.packbits(filters.mask(kept), bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)

        def search(query: np.ndarray, effort: int) -> np.ndarray:
            options = (
                faiss.SearchParametersHNSW(sel=selector, efSearch=effort)
                if graph
                else faiss.SearchParametersIVF(sel=selector, nprobe=min(effort, index.nlist))
            )
            rows: np.ndarray = index.search(query[None], K, params=options)[1][0]
            return rows

        return search

    return _work(directory, file, asked, prepare, _EFFORTS)


def _lancedb(directory: Path, file: Path, asked: np.ndarray) -> Work:
    import lancedb
    import pyarrow as pa

    stored, built = np.load(file, mmap_mode="r"), directory / "lancedb"
    filters, items = Filters(directory, stored), len(stored)
    database = lancedb.connect(str(built))
    fields = [
        pa.field("vector", pa.list_(pa.float32(), stored.shape[1])),
        pa.field("row", pa.int32()),
        pa.field("cell", pa.int32()),
        pa.field("number", pa.float64()),
    ]

    def batches() -> Any:
        for start in range(0, items, 20_000):
            part = slice(start, min(start + 20_000, items))
            values = pa.array(np.asarray(stored[part]).ravel())
            yield pa.record_batch(
                [
                    pa.FixedSizeListArray.from_arrays(values, stored.shape[1]),
                    pa.array(np.arange(part.start, part.stop, dtype=np.int32)),
                    pa.array(filters.cell[part]),
                    pa.array(filters.number[part]),
                ],
                schema=pa.schema(fields),
            )

    if not (built / "done").is_file():
        created = database.create_table(
            "items", batches(), schema=pa.schema(fields), mode="overwrite"
        )
        created.create_index(
            metric="dot", num_partitions=round(items**0.5), num_sub_vectors=96, index_type="IVF_PQ"
        )
        created.create_scalar_index("cell", index_type="BITMAP")
        created.create_scalar_index("number", index_type="BTREE")
        (built / "done").touch()
    table = database.open_table("items")

    def prepare(kept: Kept) -> Callable[[np.ndarray, int], Any]:
        where = f"number < {kept.below!r}"
        if kept.last >= 0:
            where = f"(cell = {kept.last} AND {where})"
        if len(kept.cells):
            where += f" OR cell IN ({', '.join(map(str, kept.cells))})"

        def search(query: np.ndarray, effort: int) -> Any:
            request = table.search(query).distance_type("dot").where(where, prefilter=True)
            request = request.nprobes(min(effort, round(items**0.5))).refine_factor(10)
            return request.select(["row", "_distance"]).limit(K).to_arrow()["row"].to_numpy()

        return search

    return _work(directory, file, asked, prepare, _EFFORTS)


def filters(config: FiltersConfig) -> list[Row]:
    """Run the comparison; return one report row per filter and contestant."""
    directory = config.work / f"index-{config.items}-{vectors.key()}"
    file, asked = vectors.make(config.work / "vectors", config.items)
    half = len(asked) // 2
    inputs = (directory, file, asked[half:])
    known: Setups = {
        "faiss, HNSW, M 32": (_faiss, (*inputs, "HNSW32")),
        "faiss, IVF": (_faiss, (*inputs, f"IVF{round(config.items**0.5)},Flat")),
        "LanceDB, IVF_PQ": (_lancedb, inputs),
    }
    setups: Setups = {
        "ours": (_ours, (*inputs, asked[:half])),
        **{name: known[name] for name in config.against},
    }
    tasks = {f"{kind}, {share:.2%}": (kind, share) for kind, share in product(KINDS, SHARES)}
    stored = np.load(file, mmap_mode="r")
    cells = Filters(directory, stored)
    dict(contests(setups, {}, 0))  # build missing indexes first, on all cores
    pinned: Setups = {
        name: (_pinned, (setup, *arguments)) for name, (setup, arguments) in setups.items()
    }
    rows = []
    for name, timed in contests(pinned, tasks, config.rounds):
        exact = exactly(cells, stored, *tasks[name], inputs[2][_TUNE : _TUNE + _ASKED])
        recalls = {peer: found_share(exact, times.answer.rows) for peer, times in timed.items()}
        full = [
            np.array_equal((times.answer.rows >= 0).sum(axis=1), (exact >= 0).sum(axis=1))
            for times in timed.values()
        ]
        for number, peer in enumerate(timed):
            if peer == "ours":
                continue
            rows.append(
                Row(
                    f"{K} nearest of {config.items:,} that pass: {name}",
                    peer,
                    timed["ours"].faster_than(timed[peer]),
                    _figures(timed["ours"], recalls["ours"], full[0]),
                    _figures(timed[peer], recalls[peer], full[number]),
                    min(recalls["ours"], recalls[peer]) >= TARGET,
                    f"recall theirs {recalls[peer]:.4f}, ours {recalls['ours']:.4f}",
                    config.rounds,
                )
            )
        sys.stderr.write(markdown(rows[-len(config.against) :]).split("\n", 2)[2] + "\n")
    return rows


def _figures(timed: Timed, reached: float, full: bool) -> str:
    median, p99 = np.percentile(timed.answer.milliseconds, [50, 99])
    incomplete = "" if full else ", fewer results than exist"
    short = "" if reached >= TARGET else f", recall {reached:.3f}"
    return f"p50 {median:.2f} ms, p99 {p99:.2f} ms{short}{incomplete}"


def main(config: FiltersConfig) -> None:
    """Run the comparison, print a table and write the rows."""
    load = os.getloadavg()[0]
    rows = filters(config)
    write(config.results, rows)
    sys.stdout.write(markdown(rows) + "\n")
    sys.stdout.write(f"load average before and after: {load:.1f}, {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main(tyro.cli(FiltersConfig, prog="python -m bench.index.filters"))
