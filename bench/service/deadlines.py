"""Measure how often a server answers within short deadlines, one call at a time.

    python -m bench.service.deadlines --bundle out/homedepot/bundle --data $SHORTLIST_DATA/homedepot

An answer counts if it arrives before the deadline, on the caller's clock; otherwise it is late. A
correct server sends no late answer, and its only error is DEADLINE_EXCEEDED.
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import tyro

from bench.harness import inputs
from bench.harness.machine import machine
from bench.service.serving import ServingConfig, server
from shortlist.client import Client, ShortlistError
from shortlist.v1 import coverage_pb2


@dataclass(frozen=True)
class DeadlinesConfig:
    """Options of `python -m bench.service.deadlines`."""

    bundle: Path  # the bundle to serve
    data: Path  # dataset directory; the queries come from its `test` judgments
    milliseconds: tuple[int, ...] = (5, 20, 50, 100, 500)  # deadlines to measure
    calls: int = 1000  # calls per deadline
    warm_up: int = 50  # calls before the measurement
    cache: Path = Path("out/bench/xla")  # directory of compiled programs


class Counts:
    """Outcomes of all calls with the same deadline."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.degradations: Counter[str] = Counter()
        self.reranked: list[int] = []
        self.seconds: list[float] = []

    def call(self, client: Client, query: str, seconds: float) -> None:
        """Search once and record the outcome."""
        start = time.perf_counter()
        try:
            response = client.search(query, timeout_seconds=seconds)
        except ShortlistError as error:
            expired = error.code == grpc.StatusCode.DEADLINE_EXCEEDED
            self.outcomes["expired" if expired else error.code.name] += 1
            return
        took = time.perf_counter() - start
        self.outcomes["answered" if took <= seconds else "late"] += 1
        self.seconds.append(took)
        self.reranked.append(response.reranked_count)
        coverage = response.coverage
        complete = response.reranked_count == coverage.rerank_target_count
        # A server must report degradations if it reranks fewer candidates than the target, and only
        # then.
        if complete == bool(coverage.degradations):
            self.outcomes["misreported"] += 1
        for kind in coverage.degradations:
            self.degradations[coverage_pb2.Degradation.Name(kind)[len("DEGRADATION_") :]] += 1

    def row(self, milliseconds: int) -> str:
        """Return a row of the table."""
        calls = self.outcomes["answered"] + self.outcomes["late"] + self.outcomes["expired"]
        share = self.outcomes["answered"] / max(calls, 1)
        other_outcomes = {name: n for name, n in self.outcomes.items() if name != "answered"}
        p50, p999 = 1000 * np.quantile(self.seconds or [np.nan], [0.5, 0.999])
        reranked = np.quantile(self.reranked or [0], [0.0, 0.5, 1.0]).astype(int).tolist()
        return (
            f"| {milliseconds} ms | {share:.2%} | {p50:.1f} | {p999:.1f} | {reranked} "
            f"| {dict(self.degradations)} | {other_outcomes} |\n"
        )


def main(config: DeadlinesConfig) -> None:
    """Measure each deadline, and print a table."""
    queries = inputs.queries_of(config.data, "test")
    sys.stdout.write(f"{machine()}\n")
    columns = "deadline | answered in time | p50 ms | p99.9 ms | reranked (min, median, max)"
    sys.stdout.write(f"| {columns} | degradations | other outcomes |\n")
    serving = ServingConfig(config.bundle, config.data, cache=config.cache)
    with server(serving) as (running, _), Client(running.address) as client:
        for query in queries[-config.warm_up :]:
            client.search(query, timeout_seconds=10)
        for milliseconds in config.milliseconds:
            counts = Counts()
            for number in range(config.calls):
                counts.call(client, queries[number % len(queries)], milliseconds / 1000)
            sys.stdout.write(counts.row(milliseconds))
            sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(DeadlinesConfig, prog="python -m bench.service.deadlines"))
