"""Measure processor time, throughput and memory of a server for each kind of call.

    python -m bench.service.sizing --bundle out/homedepot/bundle --data $SHORTLIST_DATA/homedepot

The callers form a closed loop, and make one kind of call after another. They share the machine's
cores with the server, so the throughput is lower than that of a server on its own machine. Only the
processor time of the server is counted. The server has no result cache.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import tyro

from bench.harness import inputs
from bench.harness.machine import machine
from bench.harness.output import say
from bench.service.live import ResourceUse
from bench.service.process import serving
from catalog.dataset.reading import read_dataset
from shortlist.client import Client

_RERANKED = (0, 10, 50, 100)  # numbers of reranked candidates
_ITEMS = 1_000  # number of items that GetItem looks up


@dataclass(frozen=True)
class SizingConfig:
    """Options of `python -m bench.service.sizing`."""

    bundle: Path  # the bundle to serve
    data: Path  # dataset directory; queries come from its judgments, ids from its items
    seconds: float = 15.0  # duration of each kind of call
    callers: int = 16  # concurrent callers
    cache: Path = Path("out/bench/xla")  # directory of compiled programs


def calls(client: Client, config: SizingConfig) -> Mapping[str, Callable[[int], Any]]:
    """Return a function for each kind of call; its argument is the number of the call."""
    queries = inputs.queries_of(config.data)
    ids = read_dataset(config.data).items["item_id"].to_pylist()[:_ITEMS]

    def search(number: int, depth: int) -> None:
        client.search(queries[number % len(queries)], rerank_depth=depth)

    return {
        "GetItem": lambda number: client.get_item(ids[number % len(ids)]),
        "Embed, 1 query": lambda number: client.embed([queries[number % len(queries)]]),
        "Retrieve, 100 items": lambda number: client.retrieve(queries[number % len(queries)]),
        **{f"Search, {depth} reranked": partial(search, depth=depth) for depth in _RERANKED},
    }


def ask(call: Callable[[int], Any], config: SizingConfig) -> int:
    """Run all callers with one kind of call; return the number of answered calls."""
    numbers, stop = count(), time.perf_counter() + config.seconds
    answered = []

    def caller() -> None:
        mine = 0
        while time.perf_counter() < stop:
            call(next(numbers))
            mine += 1
        answered.append(mine)

    threads = [threading.Thread(target=caller) for _ in range(config.callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered)


def main(config: SizingConfig) -> None:
    """Measure each kind of call, and print a table."""
    say(str(machine()))
    flags = ("--engine.cache-megabytes", "0")
    with serving(config.bundle, config.cache, *flags) as server:
        say(f"memory of the idle server: {server.memory_mib():,.0f} MiB")
        say(f"\n| {config.callers} callers | calls/s | processor time of a call | memory, MB |")
        say("| --- | --- | --- | --- |")
        with Client(server.address, timeout_seconds=60) as client:
            for name, call in calls(client, config).items():
                use, begun = ResourceUse(server.process.pid), time.perf_counter()
                answered = ask(call, config)
                rate, used = answered / (time.perf_counter() - begun), use.stop()
                say(
                    f"| {name} | {rate:,.0f} | {1e3 * used['processors'] / rate:,.1f} ms "
                    f"| {used['megabytes_most']:,.0f} |"
                )


if __name__ == "__main__":
    main(tyro.cli(SizingConfig, prog="python -m bench.service.sizing"))
