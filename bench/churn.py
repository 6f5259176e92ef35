"""Measure the vector index as built, after a fifth of the items are rewritten, and compacted.

    python -m bench.churn [--items 1000000]

As in the live catalogue, a rewritten item gets a new row in the append buffer; its old row dies.
Compaction builds an index of the current items; the live catalogue compacts long before a fifth of
the items are rewritten. Each state is searched one query at a time on one core. Recall@10 is
measured against exact search, on queries that the index was not tuned on. Each build has its own
process, to measure peak memory. One index serves all recall targets, which differ in search effort.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro

from bench import vectors
from bench.report import machine
from catalog.items import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from search.channels.append_buffer import AppendBuffer
from search.channels.dense import DenseChannel
from search.channels.fusion import Channels
from search.channels.lexical import LexicalChannel
from towers.exact import recall
from towers.index import IndexConfig, build_index, open_index
from towers.scann import ScannIndex, least_effort
from towers.sketch import open_sketch
from towers.vectors import open_vectors

K = 10
_SEED = 0


@dataclass(frozen=True)
class ChurnConfig:
    """What to build and search."""

    items: int = 1_000_000  # titles; missing vectors are encoded, which takes long
    share: float = 0.2  # share of the items that is rewritten
    targets: tuple[float, ...] = (0.95, 0.99)  # targets of recall@10
    asked: int = 500  # timed queries
    work: Path = Path("out/bench")  # directory of the vectors
    results: Path = Path("bench/churn.json")  # file for the results


@dataclass(frozen=True)
class SearchResult:
    """Recall and speed of one state of the index."""

    items: int
    state: str
    target: float
    recall: float
    p50_ms: float
    p99_ms: float
    queries_per_second: float
    plans: tuple[str, ...]  # see `filtered.Plan`; empty without dead rows
    load: float  # load average of the machine

    def line(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.target} | {self.state} | {self.recall:.4f} | {self.p50_ms:.2f} | "
            f"{self.p99_ms:.2f} | {self.queries_per_second:,.0f} | {', '.join(self.plans) or '-'} |"
        )


@dataclass(frozen=True)
class BuildResult:
    """Time and size of one build."""

    items: int
    state: str
    seconds: float
    bytes_per_item: float
    gigabytes: float  # peak memory, pages of the mapped vectors included
    load: float

    def line(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.state} | {self.seconds:.0f} | {self.bytes_per_item:,.0f} | "
            f"{self.gigabytes:.2f} |"
        )


def build(file: Path, target: float, directory: Path) -> None:
    """Build an index of a file of vectors, and print time, peak memory and size as JSON."""
    asked = np.load(directory.parent / "queries.npy")
    directory.mkdir()
    start = time.perf_counter()
    config = IndexConfig(kind="scann", recall_target=target, depth=K)
    build_index(np.load(file, mmap_mode="r"), directory, config, asked)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = sum(path.stat().st_size for path in directory.iterdir())
    sys.stdout.write(json.dumps({"seconds": seconds, "gigabytes": peak, "bytes": size}) + "\n")


def _built(file: Path, target: float, directory: Path, state: str) -> BuildResult:
    command = [sys.executable, "-m", "bench.churn", "build", str(file), str(target), str(directory)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
    measured, items = json.loads(done.stdout), len(np.load(file, mmap_mode="r"))
    return BuildResult(
        items,
        state,
        measured["seconds"],
        measured["bytes"] / items,
        measured["gigabytes"],
        os.getloadavg()[0],
    )


def _searched(
    channels: Channels,
    asked: np.ndarray,
    items: int,
    alive: np.ndarray | None,
    state: str,
    target: float,
) -> SearchResult:
    channels.warm_up(K)
    channels.nearest(asked[0], K, alive)
    taken, rows, plans = [], [], set()
    for query in asked:
        start = time.perf_counter()
        hits = channels.nearest(query, K, alive)
        taken.append(time.perf_counter() - start)
        rows.append(hits.rows)
        plans.add(hits.plan)
    exact = channels.exact(asked, K, np.ones(items, bool) if alive is None else alive)
    return SearchResult(
        items,
        state,
        target,
        recall(exact, np.stack(rows)),
        1e3 * float(np.median(taken)),
        1e3 * float(np.quantile(taken, 0.99)),
        len(taken) / sum(taken),
        tuple(sorted(plans - {""})),
        os.getloadavg()[0],
    )


def _channels(directory: Path, added: np.ndarray, lexical: LexicalIndex, target: float) -> Channels:
    stored, tuned = open_vectors(directory), np.load(directory.parent / "queries.npy")
    index, sketch = open_index(directory), open_sketch(directory, stored, tuned)
    assert isinstance(index, ScannIndex)
    index.effort = least_effort(index, stored, tuned, K, target)
    dense = DenseChannel(index, stored, AppendBuffer(added), sketch)
    return Channels([dense, LexicalChannel(lexical)])


def churn(config: ChurnConfig) -> tuple[list[BuildResult], list[SearchResult]]:
    """Build, rewrite, compact, and search each state."""
    file, asked = vectors.make(config.work / "vectors", config.items)
    half = len(asked) // 2
    timed = asked[half : half + config.asked]
    builds, searches = [], []
    with tempfile.TemporaryDirectory(dir=config.work) as name:
        directory = Path(name)
        np.save(directory / "queries.npy", asked[:half])
        # `Recall` needs a lexical index; this benchmark searches vectors only.
        LexicalIndex.build(ItemStore.of([Item("1", "none")]), directory / "lexical")
        words = LexicalIndex.open(directory / "lexical")
        stored = np.load(file, mmap_mode="r")
        order = np.random.default_rng(_SEED).permutation(config.items)
        again = np.sort(order[: round(config.share * config.items)])
        alive = np.ones(config.items + len(again), bool)
        alive[again] = False
        none = np.zeros((0, stored.shape[1]), np.float32)

        def search(index: Path, added: np.ndarray, living: np.ndarray | None, state: str) -> None:
            for target in config.targets:
                channels = _channels(index, added, words, target)
                searches.append(_searched(channels, timed, config.items, living, state, target))
                sys.stderr.write(searches[-1].line() + "\n")

        def built(file: Path, state: str) -> Path:
            index = directory / state
            builds.append(_built(file, max(config.targets), index, state))
            sys.stderr.write(builds[-1].line() + "\n")
            return index

        first = built(file, "first")
        search(first, none, None, "as built")
        search(first, stored[again], alive, f"{config.share:.0%} rewritten")
        compacted = directory / "compacted.npy"
        _write_rows(compacted, stored, again)
        search(built(compacted, "compaction"), none, None, "compacted")
    return builds, searches


def _write_rows(path: Path, stored: np.ndarray, again: np.ndarray) -> None:
    """Write the vectors as compaction leaves them: rewritten items last."""
    kept = np.setdiff1d(np.arange(len(stored)), again)
    rows = np.concatenate([kept, again])
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=stored.shape)
    for start in range(0, len(rows), 20_000):
        out[start : start + 20_000] = stored[rows[start : start + 20_000]]
    out.flush()


def main(config: ChurnConfig) -> None:
    """Print two tables and write the results."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    builds, searches = churn(config)
    loads = [each.load for each in builds] + [each.load for each in searches]
    lines = [
        f"{config.items:,} items",
        "",
        "| build | seconds | bytes per item | peak GB of memory |",
        "| --- | --- | --- | --- |",
        *(each.line() for each in builds),
        "",
        "| target | state | recall@10 | p50 ms | p99 ms | queries/s | plan |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(each.line() for each in searches),
        "",
        f"load average: {min(loads):.1f} to {max(loads):.1f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    results = {
        "machine": machine(),
        "builds": [asdict(each) for each in builds],
        "searches": [asdict(each) for each in searches],
    }
    config.results.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        build(Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(tyro.cli(ChurnConfig, prog="python -m bench.churn"))
