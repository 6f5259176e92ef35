"""The load generator of `bench/service/live.py`: calls at fixed times, or as fast as possible.

    python -m bench.service.load --address HOST:PORT --phase together --seconds 30 …

The program prints its measurements as one line of JSON. It uses only the server's public API.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tyro
from google.protobuf.field_mask_pb2 import FieldMask

from shortlist.v1.catalog_service_pb2 import GetItemRequest, UpsertItemsRequest
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.item_pb2 import Item
from shortlist.v1.retrieval_service_pb2 import RetrieveRequest
from shortlist.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

_DEADLINE = 30.0  # deadline of a call, in seconds
_POLL = 0.02  # seconds between two polls of an item
# One in 30 new items and one in 100 updates is polled until it is visible. Polling every write
# would add too much load.
_POLLED_NEW, _POLLED_UPDATES = 30, 100
_RETRIEVED = 5  # one in 5 polled new items is also searched with Retrieve
_UNDER_WAY = 1_000  # maximum number of unacknowledged writes in `as_fast`
_CALLERS = 16  # concurrent callers in `retrieves`
_EOF = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs


@dataclass(frozen=True)
class Phase:
    """Options of `python -m bench.service.load`: the load of one run."""

    address: str
    # "together" sends all kinds of calls at the rates below. "updates", "new items" and "retrieves"
    # send one kind of call as fast as possible.
    phase: str
    queries: str  # file of queries, a JSON list
    titles: str  # file of titles that are not in the catalogue, a JSON list
    items: int  # items in the catalogue, with ids t0000000 and so on
    seconds: float  # duration of the run
    retrieves: float = 0.0  # Retrieve calls per second
    updates: float = 0.0  # updates per second
    new_items: float = 0.0  # new items per second


@dataclass
class Measured:
    """Measurements of one run; times are in seconds."""

    retrieve: list[float] = field(default_factory=list)  # from due time to answer
    update: list[float] = field(default_factory=list)  # from due time to acknowledgement
    new: list[float] = field(default_factory=list)  # from due time to acknowledgement
    # From acknowledgement to visibility: first of new items, then of updates.
    fresh: list[float] = field(default_factory=list)
    fresh_update: list[float] = field(default_factory=list)
    errors: int = 0
    checked: int = 0  # new items searched with Retrieve
    missed: int = 0  # new items that Retrieve did not return


class Load:
    """The calls of one run."""

    def __init__(self, phase: Phase, channel: grpc.aio.Channel) -> None:
        """Read the queries and titles."""
        self.phase, self.measured = phase, Measured()
        self.catalogue: Any = CatalogServiceStub(channel)  # Any, as stub types are for threads
        self.retrieval: Any = RetrievalServiceStub(channel)
        self.queries: list[str] = json.loads(Path(phase.queries).read_text())
        self.titles: list[str] = json.loads(Path(phase.titles).read_text())
        self.random = np.random.default_rng(int(time.time()))
        self.run = f"{time.time_ns():x}"
        self.group = asyncio.TaskGroup()  # concurrent calls; an exception in a call ends the run

    # ---- requests

    def update(self, number: int) -> UpsertItemsRequest:
        """Return an update of an item's price and stock."""
        return UpsertItemsRequest(
            request_id=f"{self.run}-u{number}",
            item=Item(
                item_id=f"t{self.random.integers(self.phase.items):07}",
                price=round(float(self.random.lognormal(3.5)), 2),
                in_stock=bool(self.random.random() < 0.9),
            ),
            update_mask=FieldMask(paths=["price", "in_stock"]),
        )

    def new(self, number: int) -> UpsertItemsRequest:
        """Return a write of a new item."""
        title = self.titles[number % len(self.titles)]
        item = Item(item_id=f"{self.run}-{number}", title=title, price=19.99, in_stock=True)
        return UpsertItemsRequest(request_id=f"{self.run}-n{number}", item=item)

    # ---- calls

    async def retrieve(self, due: float, number: int) -> None:
        """Call Retrieve, and record the time since the call was due."""
        try:
            request = RetrieveRequest(query=self.queries[number % len(self.queries)], page_size=100)
            await self.retrieval.Retrieve(request, timeout=_DEADLINE)
            self.measured.retrieve.append(time.perf_counter() - due)
        except grpc.aio.AioRpcError:
            self.measured.errors += 1

    async def look(self, request: UpsertItemsRequest, acknowledged: float, number: int) -> None:
        """Poll the item of a write until the write is visible; record the time."""
        is_new = not request.update_mask.paths
        item = request.item
        while time.perf_counter() - acknowledged < _DEADLINE:
            try:
                get = GetItemRequest(item_id=item.item_id)
                current = (await self.catalogue.GetItem(get, timeout=_DEADLINE)).item
                if is_new or current.price == item.price:
                    break
            except grpc.aio.AioRpcError as error:  # at first, a new item is not visible
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    self.measured.errors += 1
                    return
            await asyncio.sleep(_POLL)
        waits = self.measured.fresh if is_new else self.measured.fresh_update
        waits.append(time.perf_counter() - acknowledged)
        if is_new and number % (_POLLED_NEW * _RETRIEVED) == 0:
            ask = RetrieveRequest(query=item.title, page_size=100)
            try:
                answer = await self.retrieval.Retrieve(ask, timeout=_DEADLINE)
            except grpc.aio.AioRpcError:
                self.measured.errors += 1
                return
            self.measured.checked += 1
            self.measured.missed += all(result.item_id != item.item_id for result in answer.results)

    async def write(
        self, make: Callable[[int], UpsertItemsRequest], rate: float, waits: list[float], every: int
    ) -> None:
        """Stream writes at a fixed rate; poll one in `every` writes until it is visible."""
        call = self.catalogue.UpsertItems()
        sent: asyncio.Queue[tuple[float, int, UpsertItemsRequest] | None] = asyncio.Queue()

        async def read() -> None:
            while (pending := await sent.get()) is not None:
                answer = await call.read()
                due, number, request = pending
                now = time.perf_counter()
                if answer is _EOF or answer.HasField("error"):
                    self.measured.errors += 1
                    continue
                waits.append(now - due)
                if number % every == 0:
                    self.group.create_task(self.look(request, now, number))

        reading = asyncio.create_task(read())
        async for due, number in ticks(rate, self.phase.seconds):
            request = make(number)
            await call.write(request)
            sent.put_nowait((due, number, request))
        await call.done_writing()
        sent.put_nowait(None)
        await reading

    # ---- phases

    async def together(self) -> dict[str, Any]:
        """Send all kinds of calls at the configured rates."""
        phase = self.phase

        async def ask() -> None:
            async for due, number in ticks(phase.retrieves, phase.seconds):
                self.group.create_task(self.retrieve(due, number))

        work = [ask()]
        if phase.updates:
            rate, waits = phase.updates, self.measured.update
            work.append(self.write(self.update, rate, waits, _POLLED_UPDATES))
        if phase.new_items:
            work.append(self.write(self.new, phase.new_items, self.measured.new, _POLLED_NEW))
        async with self.group:
            await asyncio.gather(*work)
        due = [round(rate * phase.seconds) for rate in (phase.retrieves, phase.updates)]
        names = ("retrieve", "update", "new", "fresh", "fresh_update")
        return {
            "due": [*due, round(phase.new_items * phase.seconds)],
            "errors": self.measured.errors,
            "checked": self.measured.checked,
            "missed": self.measured.missed,
            **{name: summary(getattr(self.measured, name)) for name in names},
        }

    async def as_fast(self, make: Callable[[int], UpsertItemsRequest]) -> dict[str, Any]:
        """Write as fast as writes are acknowledged, then wait until the last write is visible."""
        call, start = self.catalogue.UpsertItems(), time.perf_counter()
        slots, acknowledged = asyncio.Semaphore(_UNDER_WAY), 0
        written = 0

        async def read() -> None:
            nonlocal acknowledged
            while (answer := await call.read()) is not _EOF:
                self.measured.errors += answer.HasField("error")
                acknowledged += 1
                slots.release()

        reading = asyncio.create_task(read())
        request = make(0)
        for written in count(1):
            await slots.acquire()
            await call.write(request)
            if time.perf_counter() - start > self.phase.seconds:
                break
            request = make(written)
        await call.done_writing()
        await reading
        in_log = time.perf_counter() - start
        await self.look(request, time.perf_counter(), 1)
        seconds = time.perf_counter() - start
        return {
            "rate": written / seconds,
            "acknowledged_rate": acknowledged / in_log,
            "written": written,
            "errors": self.measured.errors,
        }

    async def retrieves(self) -> dict[str, Any]:
        """Call Retrieve in a closed loop, with several concurrent callers."""
        start = time.perf_counter()
        numbers = count()

        async def caller() -> None:
            while time.perf_counter() - start < self.phase.seconds:
                await self.retrieve(time.perf_counter(), next(numbers))

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
        rate = len(self.measured.retrieve) / (time.perf_counter() - start)
        return {
            "rate": rate,
            "errors": self.measured.errors,
            "retrieve": summary(self.measured.retrieve),
        }


async def ticks(rate: float, seconds: float) -> Any:
    """Yield the due time and the number of each call when the call is due, at a fixed rate."""
    start = time.perf_counter()
    for number in range(round(rate * seconds)):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        yield due, number


def summary(values: list[float]) -> dict[str, float]:
    """Return the number of values, their percentiles and their maximum."""
    if not values:
        return {"count": 0}
    median, p99 = np.percentile(values, [50, 99])
    return {"count": len(values), "p50": float(median), "p99": float(p99), "most": max(values)}


async def main(phase: Phase) -> None:
    """Run a phase and print the measurements."""
    async with grpc.aio.insecure_channel(phase.address) as channel:
        load = Load(phase, channel)
        match phase.phase:
            case "together":
                figures = await load.together()
            case "updates":
                figures = await load.as_fast(load.update)
            case "new items":
                figures = await load.as_fast(load.new)
            case _:
                figures = await load.retrieves()
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    asyncio.run(main(tyro.cli(Phase, prog="python -m bench.service.load")))
