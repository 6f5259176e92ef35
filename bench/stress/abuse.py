"""Measure a good client's latency and the server's health while other clients misuse the server.

    python -m bench.stress.abuse --bundle out/homedepot/bundle --data $SHORTLIST_DATA/homedepot

The good client sends an open-loop load of a few calls per second, and another process asks for the
health every 20 ms. Other clients open idle connections, do not read answers, reset calls right
after their start, send messages larger than the server allows, or flood the server
(`bench.stress.floods`). There is a quiet phase before each abuse. The benchmark starts the server.
All clients and the server share one machine.
"""

import os
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import numpy as np
import tyro

from bench.harness import inputs
from bench.harness.machine import machine
from bench.harness.output import say
from bench.service.process import Server, repeated, serving
from bench.stress import floods, openloop
from bench.stress.health import Health, watching
from bench.stress.http2 import Connection
from bench.stress.openloop import Call, Load
from catalog.dataset.reading import read_dataset
from shortlist.v1 import search_service_pb2

_SEARCH = "/shortlist.v1.SearchService/Search"
_STREAM = "/shortlist.v1.SearchService/StreamSearch"
_TICK = 0.05  # seconds between two bursts of resets
_MEMORY_SECONDS = 0.05  # seconds between two measurements of the server's memory
_AFTER_SECONDS = 5.0  # seconds from the end of an abuse to the last measurement of memory
_PANICS = "panics of the index"


@dataclass(frozen=True)
class AbuseConfig:
    """Options of `python -m bench.stress.abuse`."""

    bundle: Path  # the bundle to serve
    data: Path  # dataset directory; the queries come from its judgments
    seconds: float = 20.0  # duration of each phase
    rounds: int = 3  # number of phases per abuse
    rate: float = 12.0  # calls per second of the good client, half Retrieve, half GetItem
    connections: int = 1_000  # number of idle connections
    readers: int = 200  # initial calls with unread answers; each second adds one call
    resets: float = 500.0  # reset calls per second
    oversized: float = 5.0  # oversized messages per second
    message_mib: int = 9  # size of an oversized message in MiB; the server's limit is 8 MiB
    burst: int = 3_000  # number of searches, and of reads of items, that are sent at once
    half_open: float = 200.0  # connections per second that send half of their first message
    scrapes: float = 50.0  # requests per second for metrics on each of four threads
    cache: Path = Path("out/bench/xla")  # directory of compiled programs
    only: tuple[str, ...] = ()  # names of the abuses to run; empty: all


@dataclass
class Phase:
    """Measurements during one abuse, or during a quiet phase.

    Attributes:
        calls: The good client's calls.
        done: Counts of the abuser's actions and errors, by name.
        health: The answers of the health service.
        memory: The server's memory in MiB: before the phase, the maximum, and 5 s after the phase.
    """

    calls: list[Call]
    done: Counter[str]
    health: Health
    memory: tuple[float, float, float]

    def quantile(self, share: float) -> float:
        """Return a latency quantile of the answered calls, in milliseconds."""
        latencies = [call.took for call in self.calls if call.code == "OK"]
        return float(1e3 * np.quantile(latencies or [np.nan], share))


@contextmanager
def idle(server: Server, config: AbuseConfig) -> Iterator[Counter[str]]:
    """Open connections and leave them idle."""
    done: Counter[str] = Counter()
    with ExitStack() as stack:
        for _ in range(config.connections):
            try:
                connection = Connection(server.address)
            except OSError as error:
                done[type(error).__name__] += 1
            else:
                stack.callback(connection.close)
                done["connections"] += 1
        yield done


@contextmanager
def slow_readers(server: Server, config: AbuseConfig) -> Iterator[Counter[str]]:
    """Make calls with large answers, and never read the answers."""
    search = search_service_pb2.SearchRequest(query="charger", page_size=100)
    stream = search_service_pb2.StreamSearchRequest(search=search)
    requests = ((_SEARCH, search.SerializeToString()), (_STREAM, stream.SerializeToString()))
    with ExitStack() as stack:

        def call(number: int, done: Counter[str]) -> None:
            connection = Connection(server.address, window=0)
            stack.callback(connection.close)
            connection.call(*requests[number % 2])
            done["calls"] += 1

        done: Counter[str] = Counter()
        for number in range(config.readers):
            call(number, done)
            time.sleep(0.02)  # spread the calls, because a burst would be a different abuse
        with repeated(1.0, call, done):
            yield done


@contextmanager
def rapid_resets(server: Server, config: AbuseConfig) -> Iterator[Counter[str]]:
    """Reset calls as soon as they begin."""
    connections: list[Connection] = []

    def reset_burst(_: int, done: Counter[str]) -> None:
        try:
            if not connections:
                connections.append(Connection(server.address))
                done["connections"] += 1
            connections[0].drop_answers()
            connections[0].reset(_SEARCH, max(1, round(config.resets * _TICK)))
            done["resets"] += max(1, round(config.resets * _TICK))
        except OSError as error:
            done[type(error).__name__] += 1
            for connection in connections:
                connection.close()
            connections.clear()

    with repeated(_TICK, reset_burst) as done:
        yield done
    for connection in connections:
        connection.close()


@contextmanager
def oversized(server: Server, config: AbuseConfig) -> Iterator[Counter[str]]:
    """Send messages larger than the server allows."""
    message = bytes(config.message_mib * 2**20)
    unlimited = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.address, options=unlimited) as channel:
        call = channel.unary_unary(_SEARCH, request_serializer=None, response_deserializer=None)

        def send_message(_: int, done: Counter[str]) -> None:
            try:
                call(message, timeout=10)
            except grpc.RpcError as error:
                done[error.code().name] += 1

        with repeated(1 / config.oversized, send_message) as done:
            yield done


@contextmanager
def quiet(_: Server, __: AbuseConfig) -> Iterator[Counter[str]]:
    """Do nothing: a quiet phase."""
    yield Counter()


Abuse = Callable[[Server, AbuseConfig], AbstractContextManager[Counter[str]]]
ABUSES: dict[str, Abuse] = {
    "idle connections": idle,
    "slow readers": slow_readers,
    "rapid resets": rapid_resets,
    "oversized messages": oversized,
    "dense messages above the limit": lambda server, _: floods.dense(
        server, floods.UNLIMITED, grpc.Compression.NoCompression
    ),
    "dense messages below the limit": lambda server, _: floods.dense(
        server, floods.ALLOWED, grpc.Compression.NoCompression
    ),
    "compressed dense messages": lambda server, _: floods.dense(
        server, floods.UNLIMITED, grpc.Compression.Gzip
    ),
    "bursts of calls": lambda server, config: floods.bursts(server, config.burst),
    "half-open connections": lambda server, config: floods.half_open(
        server.address, floods.HALF_PREFACE, config.half_open, config.connections
    ),
    "requests for metrics": lambda server, config: floods.metrics(
        server, config.scrapes, config.connections
    ),
}


@dataclass
class Bench:
    """The server, the good client's load, and the finished phases.

    Attributes:
        server: The server.
        load: The load of the next phase.
        config: The options.
        phases: Finished phases by name of the abuse; quiet phases have the name "".
    """

    server: Server
    load: Load
    config: AbuseConfig
    phases: defaultdict[str, list[Phase]] = field(default_factory=lambda: defaultdict(list))

    def measure(self, name: str, abuse: Abuse) -> None:
        """Measure one phase: send the good client's load during an abuse."""
        before, most = self.server.memory_mib(), 0.0

        def observe(_: int, __: Counter[str]) -> None:
            nonlocal most
            most = max(most, self.server.memory_mib())

        with (
            watching(self.server.address) as health,
            repeated(_MEMORY_SECONDS, observe),
            abuse(self.server, self.config) as done,
        ):
            calls = openloop.send(self.load)
        time.sleep(_AFTER_SECONDS)
        phase = Phase(calls, done, health, (before, most, self.server.memory_mib()))
        self.phases[name].append(phase)
        say(
            f"{name or 'none'}: p50 {phase.quantile(0.5):.1f} ms, p99 {phase.quantile(0.99):.1f} ms"
            f", load {os.getloadavg()[0]:.1f}"
        )
        # Each phase sends different queries; otherwise the server would answer from its cache.
        step = round(self.config.rate * self.config.seconds)
        queries = [*self.load.queries[step:], *self.load.queries[:step]]
        self.load = replace(self.load, queries=queries)

    def report(self) -> None:
        """Print the results as a table."""
        quiet_p99 = float(np.median([phase.quantile(0.99) for phase in self.phases[""]]))
        good = "calls | p50 ms | p99 ms | p99 over quiet | errors"
        health = "health p50 ms | p99 ms | max ms | errors"
        say(f"| others | {good} | {health} | memory MiB: before, most, after | did |")
        for name, phases in self.phases.items():
            say(_row(name or "none", phases, quiet_p99))


def _row(name: str, phases: list[Phase], quiet_p99: float) -> str:
    health = Health(
        [seconds for phase in phases for seconds in phase.health.seconds],
        sum((phase.health.codes for phase in phases), Counter()),
    )
    calls = [call for phase in phases for call in phase.calls]
    together = Phase(calls, Counter(), health, (0, 0, 0))
    ratios = [phase.quantile(0.99) / quiet_p99 for phase in phases]
    errors = Counter(call.code for call in calls if call.code != "OK")
    cells = (
        name,
        len(calls),
        *(f"{together.quantile(share):.1f}" for share in (0.5, 0.99)),
        f"{np.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]",
        dict(errors) or 0,
        *(f"{health.quantile_ms(share):.1f}" for share in (0.5, 0.99, 1.0)),
        dict(health.codes) or 0,
        "; ".join("{:.0f}, {:.0f}, {:.0f}".format(*phase.memory) for phase in phases),
        dict(sum((phase.done for phase in phases), Counter())) or "",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main(config: AbuseConfig) -> None:
    """Measure each abuse between quiet phases, round by round, and print the results."""
    queries = inputs.queries_of(config.data)
    item_ids = read_dataset(config.data).items["item_id"].to_pylist()[:1_000]
    rates = {"Retrieve": config.rate / 2, "GetItem": config.rate / 2}
    chosen = [name for name in (*ABUSES, _PANICS) if not config.only or name in config.only]
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Each connection needs a file descriptor.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    say(str(machine()))

    def begin(server: Server) -> Bench:
        load = Load(server.address, rates, queries, item_ids, 10.0, config.seconds, retries=False)
        openloop.send(replace(load, seconds=5.0))  # warm-up
        return Bench(server, load, config)

    with serving(config.bundle, config.cache, "--metrics-port", "0") as server:
        bench = begin(server)
        for _ in range(config.rounds):
            for name in chosen:
                if name in ABUSES:
                    bench.measure("", quiet)
                    bench.measure(name, ABUSES[name])
        bench.measure("", quiet)
        bench.report()
        say(f"memory afterwards: {server.memory_mib():.0f} MiB")
    if _PANICS not in chosen:
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "bundle"
        damage = floods.damage(config.bundle, copy)
        with serving(copy, config.cache) as server:
            bench = begin(server)
            bench.measure("", quiet)
            damage()
            bench.measure(_PANICS, lambda server, _: floods.panics(server, queries))
            bench.report()


if __name__ == "__main__":
    main(tyro.cli(AbuseConfig, prog="python -m bench.stress.abuse"))
