"""Measure the latency of Search and Retrieve over gRPC: p50 and p95 of a running server.

    python -m server --bundle out/bundle
    python -m bench.service.latency --bundle out/bundle --data DATASET

One client makes one call at a time, Search and Retrieve in turn, so no call waits in the server's
queue. A latency is the wall time of one call at the client, including message encoding and
transport. Run the program on the server's machine, because the program also prints a description
of its machine.
"""

import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
import tyro

from base.errors import InputError
from bench.harness.machine import processor
from bert.numerics import choose_numerics
from bert.saving import read_config
from catalog.dataset.reading import read_dataset
from search import bundle
from shortlist.client import Client, ShortlistError
from shortlist.v1.retrieval_service_pb2 import RetrieveResponse
from shortlist.v1.search_service_pb2 import SearchResponse

Answer = TypeVar("Answer", SearchResponse, RetrieveResponse)

_SEED = 0  # seed of the order of queries


@dataclass(frozen=True)
class LatencyConfig:
    """The server to call, and its queries: either from --data or from --queries."""

    bundle: Path  # the served bundle; the program prints its token limits
    data: Path | None = None  # dataset directory; the queries come from its `test` judgments
    queries: Path | None = None  # text file with one query per line, instead of --data
    address: str = "127.0.0.1:50051"  # host:port of the server
    calls: int = 300  # measured calls of each method
    warm_up: int = 20  # calls of each method before the measurement
    rerank_depth: int | None = None  # candidates to rerank; None: the server's default

    def __post_init__(self) -> None:
        if (self.data is None) == (self.queries is None):
            raise InputError("give either --data or --queries")
        if self.calls < 1 or self.warm_up < 0:
            raise InputError("--calls must be at least 1, --warm-up at least 0")


@dataclass
class Timings:
    """Measured calls of one method."""

    seconds: list[float] = field(default_factory=list)  # wall time of each call
    stages: dict[str, list[float]] = field(default_factory=dict)  # seconds of each call, by stage

    def measure(self, call: Callable[[], Answer]) -> Answer:
        """Make a call; record its time and the times of its stages."""
        start = time.perf_counter()
        answer = call()
        self.seconds.append(time.perf_counter() - start)
        for stage in answer.stages:
            self.stages.setdefault(stage.name, []).append(stage.duration.ToNanoseconds() / 1e9)
        return answer

    def lines(self, name: str, what: str) -> list[str]:
        """Return the latencies in milliseconds, as lines to print."""
        p50, p95 = 1000 * np.percentile(self.seconds, [50, 95])
        medians = (f"{stage} {1000 * np.median(times):.1f}" for stage, times in self.stages.items())
        return [
            f"{name:<9} p50 {p50:,.1f} ms, p95 {p95:,.1f} ms ({len(self.seconds)} calls, {what})",
            f"{'':<9} medians of its stages, ms: {', '.join(medians)}",
        ]


def read_queries(config: LatencyConfig) -> list[str]:
    """Return the distinct queries, in a fixed random order.

    Raises:
        InputError: there are no queries, or the file cannot be read.
    """
    if config.queries is not None:
        try:
            lines = config.queries.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"--queries {config.queries}: {error}") from None
        queries = [line.strip() for line in lines if line.strip()]
    else:
        assert config.data is not None
        judgments = read_dataset(config.data).judgments
        rows = [] if judgments is None else judgments.select(["query", "split"]).to_pylist()
        queries = [row["query"] for row in rows if row["split"] == "test"]
    distinct = list(dict.fromkeys(queries))
    if not distinct:
        raise InputError(f"{config.queries or config.data}: no queries to send")
    order = np.random.default_rng(_SEED).permutation(len(distinct))
    return [distinct[number] for number in order]


def measure(config: LatencyConfig) -> list[str]:
    """Call the server and return the lines to print.

    Raises:
        InputError: there are no queries, or the server serves another bundle.
        ShortlistError: a call failed.
    """
    manifest = bundle.Manifest.read(config.bundle)
    queries = read_queries(config)
    search, retrieve, cached = Timings(), Timings(), 0
    with Client(config.address, timeout_seconds=60) as client:
        for number in range(-config.warm_up, config.calls):
            if number == 0:
                search, retrieve, cached = Timings(), Timings(), 0
            query = queries[number % len(queries)]
            other = queries[(number + len(queries) // 2) % len(queries)]
            result = search.measure(partial(client.search, query, rerank_depth=config.rerank_depth))
            nearest = retrieve.measure(partial(client.retrieve, other))
            cached += sum(
                stage.cached_count for answer in (result, nearest) for stage in answer.stages
            )
            if result.bundle_id != manifest.bundle_id:
                raise InputError(
                    f"{config.address} serves bundle {result.bundle_id}, {config.bundle} is "
                    f"{manifest.bundle_id}; name the served bundle"
                )
    depth = f"recalled {result.recalled_count}, reranked {result.reranked_count}"
    return [
        *search.lines("Search", f"{depth}, {len(result.results)} results"),
        *retrieve.lines("Retrieve", f"{len(nearest.results)} results"),
        f"one client, one call at a time, {min(len(queries), config.calls)} distinct queries; "
        f"{cached} model results came from the cache",
        *_stated(config, manifest),
    ]


def _stated(config: LatencyConfig, manifest: bundle.Manifest) -> list[str]:
    """Return lines on the conditions of the measurement: bundle, number type and machine."""
    towers = read_config(config.bundle / bundle.TOWERS)
    budget = f"query {towers['max_query_tokens']}, item {towers['max_item_tokens']}"
    layers = f"towers {towers['bert']['num_hidden_layers']}"
    if (config.bundle / bundle.RERANK).is_dir():
        reranker = read_config(config.bundle / bundle.RERANK)
        budget += f", query with item {reranker['max_tokens']}"
        layers += f", reranker {reranker['bert']['num_hidden_layers']}"
    numerics = choose_numerics()
    packages = ", ".join(f"{name} {version(name)}" for name in ("shortlist", "jax", "grpcio"))
    return [
        f"bundle {manifest.bundle_id}; tokens at most: {budget}; encoder layers: {layers}",
        f"matrix products in {numerics.dtype} unless the server sets another ({numerics.why})",
        f"{processor()}, Python {platform.python_version()}, {packages}",
    ]


def main(arguments: Sequence[str]) -> int:
    """Print the latencies; return the exit code."""
    try:
        config = tyro.cli(LatencyConfig, args=arguments, prog="python -m bench.service.latency")
        sys.stdout.write("\n".join(measure(config)) + "\n")
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except ShortlistError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
