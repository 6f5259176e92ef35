"""The load of `bench/live.py`: calls at fixed times, or without pause.

    python -m bench.load --address HOST:PORT --phase together --seconds 30 …

Print one line of JSON. The load uses only the contract of the server.
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
_POLL = 0.02  # seconds between two polls for an item
# One write of so many is polled until visible; polling is load, too.
_POLLED_NEW, _POLLED_UPDATES = 30, 100
_RETRIEVED = 5  # one polled new item of so many is then searched by Retrieve
_UNDER_WAY = 1_000  # most unacknowledged writes, if sent as fast as possible
_CALLERS = 16
_EOF = grpc.aio.EOF  # type: ignore[attr-defined]  # stubs lack it


@dataclass(frozen=True)
class Phase:
    """What one run sends."""

    address: str
    phase: str  # together; or one kind as fast as possible: updates, new items, retrieves
    queries: str  # file of queries, a JSON list
    titles: str  # file of titles that are not in the catalogue, a JSON list
    items: int  # items in the catalogue, with ids t0000000 and so on
    seconds: float  # duration
    retrieves: float = 0.0  # calls per second
    updates: float = 0.0  # per second
    new_items: float = 0.0  # per second


@dataclass
class Measured:
    """Measurements, times in seconds."""

    retrieve: list[float] = field(default_factory=list)  # from the time the call was due
    update: list[float] = field(default_factory=list)  # from due to acknowledged
    new: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)  # new items, from acknowledged to visible
    fresh_update: list[float] = field(default_factory=list)
    errors: int = 0
    checked: int = 0  # new items searched by Retrieve
    missed: int = 0  # new items that Retrieve did not return


class Load:
    """The calls of one run."""

    def __init__(self, phase: Phase, channel: grpc.aio.Channel) -> None:
        """Read the queries and titles."""
        self.phase, self.measured = phase, Measured()
        self.catalogue: Any = CatalogServiceStub(channel)  # the stubs have synchronous types
        self.retrieval: Any = RetrievalServiceStub(channel)
        self.queries: list[str] = json.loads(Path(phase.queries).read_text())
        self.titles: list[str] = json.loads(Path(phase.titles).read_text())
        self.random = np.random.default_rng(int(time.time()))
        self.run = f"{time.time_ns():x}"
        self.group = asyncio.TaskGroup()  # concurrent calls; an error in one ends the run

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
        """Call Retrieve, timed from when the call was due."""
        try:
            request = RetrieveRequest(query=self.queries[number % len(self.queries)], page_size=100)
            await self.retrieval.Retrieve(request, timeout=_DEADLINE)
            self.measured.retrieve.append(time.perf_counter() - due)
        except grpc.aio.AioRpcError:
            self.measured.errors += 1

    async def look(self, request: UpsertItemsRequest, acknowledged: float, number: int) -> None:
        """Poll for a write until it is visible."""
        is_new = not request.update_mask.paths
        item = request.item
        while time.perf_counter() - acknowledged < _DEADLINE:
            try:
                get = GetItemRequest(item_id=item.item_id)
                current = (await self.catalogue.GetItem(get, timeout=_DEADLINE)).item
                if is_new or current.price == item.price:
                    break
            except grpc.aio.AioRpcError as error:  # a new item is not visible at first
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
        """Stream writes at fixed times; poll one of `every` writes until visible."""
        call = self.catalogue.UpsertItems()
        sent: asyncio.Queue[tuple[float, int, UpsertItemsRequest] | None] = asyncio.Queue()

        async def read() -> None:
            while (one := await sent.get()) is not None:
                answer = await call.read()
                due, number, request = one
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
        """Run all loads at their rates."""
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
        """Write as fast as writes are acknowledged, and wait until the last is visible."""
        call, start = self.catalogue.UpsertItems(), time.perf_counter()
        room, acknowledged = asyncio.Semaphore(_UNDER_WAY), 0
        written = 0

        async def read() -> None:
            nonlocal acknowledged
            while (answer := await call.read()) is not _EOF:
                self.measured.errors += answer.HasField("error")
                acknowledged += 1
                room.release()

        reading = asyncio.create_task(read())
        request = make(0)
        for written in count(1):
            await room.acquire()
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
        """Run a closed loop of callers of Retrieve."""
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
    """Yield the due time and number of each call, at a fixed rate; late calls come at once."""
    start = time.perf_counter()
    for number in range(round(rate * seconds)):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        yield due, number


def summary(values: list[float]) -> dict[str, float]:
    """Return count and percentiles."""
    if not values:
        return {"count": 0}
    half, most = np.percentile(values, [50, 99])
    return {"count": len(values), "p50": float(half), "p99": float(most), "most": max(values)}


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
    asyncio.run(main(tyro.cli(Phase, prog="python -m bench.load")))
