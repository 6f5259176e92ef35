"""Measure the vector index as built, with a fifth of the items rewritten, and after compaction.

    python -m bench.index.churn [--items 1000000]

As in the live catalogue, a rewritten item gets a new row in the append buffer, and its old row
stays in the index as a dead row. Compaction builds a new index of the current items. The live
catalogue compacts long before a fifth of the items are rewritten.

The benchmark searches each state on one core, one query at a time. It measures recall@10 against
exact search, on queries that did not tune the index. Each build runs in its own process, so that
the benchmark can measure the build's peak memory. All recall targets use the same index, with
different search effort.
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

from bench.harness.machine import machine
from bench.index import vectors
from bench.index.ours import build_index
from catalog.items import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from search.channels.append_buffer import AppendBuffer
from search.channels.dense import DenseChannel
from search.channels.fusion import Channels
from search.channels.lexical import LexicalChannel
from towers.exact import recall
from towers.index import IndexConfig, open_index
from towers.scann import ScannIndex, least_effort
from towers.sketch import open_sketch
from towers.vectors import open_vectors

K = 10
_SEED = 0


@dataclass(frozen=True)
class ChurnConfig:
    """Options of `python -m bench.index.churn`."""

    items: int = 1_000_000  # number of titles; encoding a million titles takes an hour
    share: float = 0.2  # share of the items to rewrite
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
    plans: tuple[str, ...]  # plans of the searches, see `filtered.Plan`; empty without dead rows
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
    gigabytes: float  # peak memory, including pages of the memory-mapped vectors
    load: float

    def line(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.state} | {self.seconds:.0f} | {self.bytes_per_item:,.0f} | "
            f"{self.gigabytes:.2f} |"
        )


def build(file: Path, target: float, directory: Path) -> None:
    """Build an index of the vectors in a file; print time, peak memory and size as JSON."""
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
    command = [
        sys.executable,
        "-m",
        "bench.index.churn",
        "build",
        str(file),
        str(target),
        str(directory),
    ]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this module
    measured, items = json.loads(process.stdout), len(np.load(file, mmap_mode="r"))
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
    """Build the index, rewrite items and compact; search the index in each state."""
    file, asked = vectors.make(config.work / "vectors", config.items)
    half = len(asked) // 2
    timed = asked[half : half + config.asked]
    builds, searches = [], []
    with tempfile.TemporaryDirectory(dir=config.work) as name:
        directory = Path(name)
        np.save(directory / "queries.npy", asked[:half])
        # `Channels` needs a lexical index, but this benchmark searches only vectors.
        LexicalIndex.build(ItemStore.of([Item("1", "none")]), directory / "lexical")
        lexical = LexicalIndex.open(directory / "lexical")
        stored = np.load(file, mmap_mode="r")
        order = np.random.default_rng(_SEED).permutation(config.items)
        rewritten = np.sort(order[: round(config.share * config.items)])
        alive = np.ones(config.items + len(rewritten), bool)
        alive[rewritten] = False
        no_rows = np.zeros((0, stored.shape[1]), np.float32)

        def search(index: Path, added: np.ndarray, rows: np.ndarray | None, state: str) -> None:
            for target in config.targets:
                channels = _channels(index, added, lexical, target)
                searches.append(_searched(channels, timed, config.items, rows, state, target))
                sys.stderr.write(searches[-1].line() + "\n")

        def built(file: Path, state: str) -> Path:
            index = directory / state
            builds.append(_built(file, max(config.targets), index, state))
            sys.stderr.write(builds[-1].line() + "\n")
            return index

        first = built(file, "first")
        search(first, no_rows, None, "as built")
        search(first, stored[rewritten], alive, f"{config.share:.0%} rewritten")
        compacted = directory / "compacted.npy"
        _write_rows(compacted, stored, rewritten)
        search(built(compacted, "compaction"), no_rows, None, "compacted")
    return builds, searches


def _write_rows(path: Path, stored: np.ndarray, rewritten: np.ndarray) -> None:
    """Write the vectors in the order of compacted rows: rewritten items last."""
    unchanged = np.setdiff1d(np.arange(len(stored)), rewritten)
    rows = np.concatenate([unchanged, rewritten])
    vectors_out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=stored.shape)
    for start in range(0, len(rows), 20_000):
        vectors_out[start : start + 20_000] = stored[rows[start : start + 20_000]]
    vectors_out.flush()


def main(config: ChurnConfig) -> None:
    """Run the benchmark, print two tables and write the results."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    builds, searches = churn(config)
    loads = [result.load for result in builds] + [result.load for result in searches]
    lines = [
        f"{config.items:,} items",
        "",
        "| build | seconds | bytes per item | peak GB of memory |",
        "| --- | --- | --- | --- |",
        *(result.line() for result in builds),
        "",
        "| target | state | recall@10 | p50 ms | p99 ms | queries/s | plan |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(result.line() for result in searches),
        "",
        f"load average: {min(loads):.1f} to {max(loads):.1f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    results = {
        "machine": machine(),
        "builds": [asdict(result) for result in builds],
        "searches": [asdict(result) for result in searches],
    }
    config.results.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        build(Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(tyro.cli(ChurnConfig, prog="python -m bench.index.churn"))
