"""An open-loop load in a separate process: calls at random times, without waiting for answers.

Real customers do not send fewer calls when the server slows down. The callers of a closed loop do,
so a closed loop would underestimate latency. Here, calls are due at the times of a Poisson process.
The latency of a call counts from its due time.
"""

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import numpy as np

from shortlist.aio import AsyncClient
from shortlist.client import Options, Retry, ShortlistError
from shortlist.v1 import retrieval_service_pb2, search_service_pb2

_SEED = 0
_LOOK_SECONDS = 0.2  # seconds between two checks of the stop event


@dataclass(frozen=True)
class Load:
    """The calls to send.

    Attributes:
        address: The address of one or several servers.
        rates: Calls per second by method: Search, Retrieve, GetItem.
        queries: Queries of Search and Retrieve.
        item_ids: Ids for GetItem.
        deadline_seconds: The deadline of each call.
        seconds: The maximum duration.
        retries: Whether the client retries failed calls; retrying is the client's default.
    """

    address: str
    rates: Mapping[str, float]
    queries: Sequence[str]
    item_ids: Sequence[str]
    deadline_seconds: float
    seconds: float
    retries: bool = True


@dataclass(frozen=True)
class Answer:
    """The answer to a call.

    Attributes:
        bundle: The id of the bundle; "" if the call failed or its answer has no bundle id.
        reranked: The number of reranked candidates.
        results: Ids and scores of the items, best first.
    """

    bundle: str = ""
    reranked: int = 0
    results: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of_search(cls, response: search_service_pb2.SearchResponse) -> "Answer":
        """Convert an answer of Search."""
        results = tuple((result.item_id, result.score) for result in response.results)
        return cls(response.bundle_id, response.reranked_count, results)

    @classmethod
    def of_retrieve(cls, response: retrieval_service_pb2.RetrieveResponse) -> "Answer":
        """Convert an answer of Retrieve."""
        results = tuple((result.item_id, result.score) for result in response.results)
        return cls(response.bundle_id, 0, results)


@dataclass(frozen=True)
class Call:
    """A finished call.

    Attributes:
        method: The name of the method.
        asked: The query, or the item's id.
        due: When the call was due, in seconds from the start.
        took: Seconds from the time the call was due to its end.
        code: "OK", or the name of the error's code.
        answer: The answer.
    """

    method: str
    asked: str
    due: float
    took: float
    code: str
    answer: Answer = Answer()


@contextmanager
def running(load: Load) -> Iterator[tuple[Event, "Future[list[Call]]"]]:
    """Send a load while the block runs; yield an event that stops it, and a future of the calls."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(1, context) as pool:
        stop = manager.Event()
        yield stop, pool.submit(_run, load, stop)
        stop.set()


def send(load: Load) -> list[Call]:
    """Send a load for its maximum duration, and return the calls."""
    with running(load) as (_, calls):
        return calls.result()


def summary(calls: Sequence[Call], seconds: float) -> str:
    """Return one line: counts by code, and the latency of the answered calls."""
    codes = Counter(call.code for call in calls)
    latencies = [call.took for call in calls if call.code == "OK"]
    p50, p99 = np.quantile(latencies, [0.5, 0.99]) if latencies else (float("nan"), float("nan"))
    ended = ", ".join(f"{count} {code}" for code, count in sorted(codes.items()))
    rate = len(latencies) / seconds
    return f"{ended}; {rate:.1f} OK/s, p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms"


def _run(load: Load, stop: Event) -> list[Call]:
    return asyncio.run(_send(load, stop))


async def _send(load: Load, stop: Event) -> list[Call]:
    options = Options() if load.retries else Options(retry=Retry(attempts=1, overloaded=False))
    calls: list[Call] = []
    async with AsyncClient(
        load.address, options=options, timeout_seconds=load.deadline_seconds
    ) as client:
        methods: dict[str, tuple[Callable[..., Awaitable[Answer]], Sequence[str]]] = {
            "Search": (_search, load.queries),
            "Retrieve": (_retrieve, load.queries),
            "GetItem": (_get_item, load.item_ids),
        }
        start = time.perf_counter()
        over = asyncio.Event()

        async def make_call(method: str, number: int, due: float) -> None:
            ask, inputs = methods[method]
            asked, code, answer = inputs[number % len(inputs)], "OK", Answer()
            try:
                answer = await ask(client, asked)
            except ShortlistError as error:
                code = error.code.name
            took = time.perf_counter() - start - due
            calls.append(Call(method, asked, due, took, code, answer))

        async def arrivals(method: str, rate: float) -> None:
            chance = random.Random(f"{_SEED} {method}")  # noqa: S311 - for random times, not secrets
            due, number = 0.0, 0
            async with asyncio.TaskGroup() as group:
                while (due := due + chance.expovariate(rate)) < load.seconds and not over.is_set():
                    await asyncio.sleep(max(0.0, start + due - time.perf_counter()))
                    group.create_task(make_call(method, number, due))
                    number += 1

        async def watch() -> None:
            while not over.is_set():
                await asyncio.sleep(_LOOK_SECONDS)
                if await asyncio.to_thread(stop.is_set):
                    over.set()

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(arrivals(m, r) for m, r in load.rates.items() if r > 0))
        over.set()
        await watching
    return calls


async def _search(client: AsyncClient, query: str) -> Answer:
    return Answer.of_search(await client.search(query))


async def _retrieve(client: AsyncClient, query: str) -> Answer:
    return Answer.of_retrieve(await client.retrieve(query))


async def _get_item(client: AsyncClient, item_id: str) -> Answer:
    await client.get_item(item_id)
    return Answer()
