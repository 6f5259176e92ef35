"""Measure one server: speed with concurrent callers, search overhead and start time.

    python -m bench.service.serving --bundle out/homedepot/bundle --data $SHORTLIST_DATA/homedepot

Callers are threads of this process. They share the machine's cores with the server.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from bench.harness import inputs
from bench.harness.machine import machine
from bench.harness.output import say
from bench.service.process import Server, serving
from shortlist.client import Client


@dataclass(frozen=True)
class ServingConfig:
    """Options of `python -m bench.service.serving`."""

    bundle: Path  # the bundle to serve
    data: Path  # dataset directory; the queries come from its `test` judgments
    rounds: int = 7  # number of rounds; each round measures every number of callers
    calls: int = 64  # calls per method, round and number of callers
    callers: tuple[int, ...] = (16,)  # numbers of concurrent callers, each compared with one caller
    cache: Path = Path("out/bench/xla")  # directory of compiled programs


@contextmanager
def server(config: ServingConfig) -> Iterator[tuple[Server, float]]:
    """Run a server without result cache; yield the server and the seconds until it is ready."""
    start = time.perf_counter()
    with serving(config.bundle, config.cache, "--engine.cache-megabytes", "0") as running:
        yield running, time.perf_counter() - start


def rate(
    call: Callable[[str], object], queries: Sequence[str], callers: int
) -> tuple[float, float]:
    """Return the calls per second, and the 99th percentile of a call's time in seconds."""

    def timed(query: str) -> float:
        start = time.perf_counter()
        call(query)
        return time.perf_counter() - start

    with ThreadPoolExecutor(callers) as pool:
        start = time.perf_counter()
        seconds = list(pool.map(timed, queries))
        return len(queries) / (time.perf_counter() - start), float(np.quantile(seconds, 0.99))


def concurrency(config: ServingConfig, address: str, queries: Sequence[str]) -> None:
    """Compare several callers with one caller, for each method."""
    with Client(address, timeout_seconds=60) as client:
        methods: dict[str, Callable[[str], object]] = {
            "Retrieve": lambda query: client.retrieve(query, page_size=100),
            "Embed": lambda query: client.embed([query]),
            "Search": lambda query: client.search(query, page_size=10),
        }
        for name, call in methods.items():
            alone: list[float] = []
            ratios: dict[int, list[float]] = {callers: [] for callers in config.callers}
            tails: dict[int, list[float]] = {callers: [] for callers in config.callers}
            for turn in range(config.rounds + 1):
                batch = queries[turn * config.calls : (turn + 1) * config.calls]
                single_rate, _ = rate(call, batch, 1)
                results = {callers: rate(call, batch, callers) for callers in config.callers}
                if turn:  # the first turn is a warm-up
                    alone.append(single_rate)
                    for callers, (callers_rate, tail) in results.items():
                        ratios[callers].append(callers_rate / single_rate)
                        # In a fair queue, every call takes callers / callers_rate seconds.
                        tails[callers].append(tail / (callers / callers_rate))
            print_row(f"{name}: 1 caller, calls/s", alone)
            for callers in config.callers:
                over = f"{name}: {callers} callers"
                print_row(f"{over} over 1, calls/s", ratios[callers])
                print_row(f"{over}, p99 over what a fair queue predicts", tails[callers])


def overhead(address: str, queries: Sequence[str]) -> None:
    """Compare the time of a search with the sum of its encode and rerank stages."""
    with Client(address, timeout_seconds=60) as client:
        ratios = []
        for query in queries:
            start = time.perf_counter()
            response = client.search(query, page_size=10)
            seconds = time.perf_counter() - start
            model = sum(
                stage.duration.ToNanoseconds() / 1e9
                for stage in response.stages
                if stage.name in ("encode", "rerank")
            )
            ratios.append(seconds / model)
        print_row("Search over the sum of its model stages", ratios)


def print_row(name: str, values: Sequence[float]) -> None:
    """Print one line: median, minimum and maximum."""
    low, median, high = np.quantile(values, [0.0, 0.5, 1.0])
    say(f"| {name} | {median:.2f} [{low:.2f}, {high:.2f}] |")


def main(config: ServingConfig) -> None:
    """Run the measurements, and print the results as rows of a table."""
    queries = inputs.queries_of(config.data, "test")
    sys.stdout.write(f"{machine()}\n")
    with server(config):
        pass  # the first start compiles the programs that the cache lacks
    for _ in range(3):
        with server(config) as (started, seconds):
            print_row("start with compiled programs, seconds to ready", [seconds])
            say(f"| programs of that start | {started.logged('programs (.*)')} |")
    with server(config) as (started, _):
        overhead(started.address, queries[-100:])
        concurrency(config, started.address, queries)


if __name__ == "__main__":
    main(tyro.cli(ServingConfig, prog="python -m bench.service.serving"))
