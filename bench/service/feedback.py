"""Measure how many events a log takes, how soon they are counted, and how long an erasure takes.

    python -m bench.service.feedback [--events 200000] [--address 127.0.0.1:50051]

Without an address, the events go to a log in a temporary directory. This includes the conversion
and the checks of the messages, the transactions, the counters and the histories, but not gRPC. With
an address, the events go to a running server. `cpu` is the processor time of this process.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from behaviour.config import FeedbackConfig
from behaviour.feedback import Feedback
from server.convert.events import event_records
from shortlist.client import Client
from shortlist.events import event
from shortlist.v1.event_pb2 import Event

Record = Callable[[Sequence[Event]], object]


@dataclass(frozen=True)
class FeedbackBenchConfig:
    """Options of `python -m bench.service.feedback`."""

    address: str | None = None  # server that records the events; None: a log of this process
    events: int = 200_000  # number of events for each number of events per call
    callers: int = 16  # number of calls at a time
    per_call: tuple[int, ...] = (1, 20, 1_000)  # numbers of events per call
    items: int = 20_000  # number of different items
    users: int = 5_000  # number of different users
    seed: int = 0
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)


def made_up(config: FeedbackBenchConfig, count: int) -> list[Event]:
    """Return events of random users with random items; nine of ten are impressions."""
    chance = random.Random(config.seed)  # noqa: S311 - no secret
    return [
        event(
            "click" if number % 10 == 0 else "impression",
            f"item {int(config.items * chance.random() ** 3)}",
            user_id=f"user {chance.randrange(config.users)}",
            session_id=f"session {number // 30}",
            query=f"query {chance.randrange(2_000)}",
            position=1 + number % 10,
            request_id=f"{number // 10:032x}",
            bundle_id="0" * 64,
            context={"device": "phone"},
        )
        for number in range(count)
    ]


def measure(record: Record, events: Sequence[Event], per_call: int, callers: int) -> None:
    """Record events from several threads; print their rate and the times of the calls."""
    calls = [events[start : start + per_call] for start in range(0, len(events), per_call)]
    seconds: list[float] = []

    def call(part: Sequence[Event]) -> None:
        start = time.perf_counter()
        record(part)
        seconds.append(time.perf_counter() - start)

    cpu, start = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, calls))
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    p50, p99 = 1e3 * np.quantile(seconds, [0.5, 0.99])
    _print(
        f"{per_call:>5,} events per call: {len(events) / wall:>8,.0f} events/s, "
        f"{len(events) / cpu:>8,.0f} per second of cpu, call p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )


@contextmanager
def local(config: FeedbackBenchConfig) -> Iterator[Record]:
    """Record into a log of this process; at the end, measure a restart and an erasure."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:  # /tmp may be in memory
        feedback = Feedback.open(Path(directory), config.feedback)
        lock = threading.Lock()

        def record(messages: Sequence[Event]) -> object:
            with lock:  # the server converts on one thread
                events = event_records(messages)
            while (future := feedback.record(events)) is None:
                time.sleep(0.01)
            return future.result()

        yield record
        total = feedback.sequence
        start = time.perf_counter()
        removed = feedback.erase_user("user 7").result().events
        _print(f"erasure of a user with {removed:,} events: {time.perf_counter() - start:.2f} s")
        feedback.close()
        size = sum(file.stat().st_size for file in Path(directory).rglob("*"))
        start = time.perf_counter()
        Feedback.open(Path(directory), config.feedback).close()
        _print(
            f"start with {total:,} events ({size / 2**20:,.0f} MiB): "
            f"{time.perf_counter() - start:.2f} s"
        )


@contextmanager
def remote(address: str) -> Iterator[Record]:
    """Record on a running server."""
    with Client(address, timeout_seconds=60.0) as client:
        yield client.record_events


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit code."""
    config = tyro.cli(FeedbackBenchConfig, args=arguments, prog="python -m bench.service.feedback")
    with local(config) if config.address is None else remote(config.address) as record:
        for per_call in config.per_call:
            # Small calls are slow; a tenth of the events is enough to measure them.
            count = config.events if per_call > 1 else config.events // 10
            measure(record, made_up(config, count), per_call, config.callers)
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
