"""The load of `bench/live.py`, in a process of its own: calls at fixed times or without pause.

    python -m bench.load --address HOST:PORT --phase together --seconds 30 …

Prints one line of JSON. Knows nothing of the server but the contract.
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

_DEADLINE = 30.0  # seconds of a call
_LOOK = 0.02  # seconds between two looks for an item
# Of so many writes one is looked for: to look is a load as well.
_LOOKED_FOR_NEW, _LOOKED_FOR_UPDATED = 30, 100
_ASKED_FOR = 5  # of so many new items that are looked for, one is then asked for by Retrieve
_UNDER_WAY = 1_000  # writes not yet acknowledged, where they go as fast as they can
_CALLERS = 16
_EOF = grpc.aio.EOF  # type: ignore[attr-defined]  # stubs lack it


@dataclass(frozen=True)
class Phase:
    """What one run does."""

    address: str
    phase: str  # together, or one kind as fast as it can: updates, new items, retrieves
    queries: str  # file of texts
    titles: str  # file of titles that are not in the catalogue
    items: int  # of the catalogue; their ids are t0000000 and so on
    seconds: float
    retrieves: float = 0.0  # a second
    updates: float = 0.0
    new_items: float = 0.0


@dataclass
class Seen:
    """What was measured, in seconds."""

    retrieve: list[float] = field(default_factory=list)  # from when it was due
    update: list[float] = field(default_factory=list)  # until acknowledged, from when it was due
    new: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)  # new items, from acknowledgement to found
    fresh_update: list[float] = field(default_factory=list)
    errors: int = 0
    checked: int = 0  # new items that Retrieve was asked for
    missed: int = 0  # that it did not find


class Load:
    """The calls of one run."""

    def __init__(self, phase: Phase, channel: grpc.aio.Channel) -> None:
        """Take what to ask of whom."""
        self.phase, self.seen = phase, Seen()
        self.catalogue: Any = CatalogServiceStub(channel)  # its stubs are of calls without asyncio
        self.retrieval: Any = RetrievalServiceStub(channel)
        self.queries: list[str] = json.loads(Path(phase.queries).read_text())
        self.titles: list[str] = json.loads(Path(phase.titles).read_text())
        self.random = np.random.default_rng(int(time.time()))
        self.run = f"{time.time_ns():x}"
        self.group = asyncio.TaskGroup()  # of calls that run beside; an error in one ends the run

    # ---- requests

    def update(self, number: int) -> UpsertItemsRequest:
        """A change of an item's price and stock."""
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
        """An item that is new."""
        title = self.titles[number % len(self.titles)]
        item = Item(item_id=f"{self.run}-{number}", title=title, price=19.99, in_stock=True)
        return UpsertItemsRequest(request_id=f"{self.run}-n{number}", item=item)

    # ---- calls

    async def retrieve(self, due: float, number: int) -> None:
        """One Retrieve, timed from when it was due."""
        try:
            request = RetrieveRequest(query=self.queries[number % len(self.queries)], page_size=100)
            await self.retrieval.Retrieve(request, timeout=_DEADLINE)
            self.seen.retrieve.append(time.perf_counter() - due)
        except grpc.aio.AioRpcError:
            self.seen.errors += 1

    async def look(self, request: UpsertItemsRequest, acknowledged: float, number: int) -> None:
        """Look for a write until it is found."""
        is_new = not request.update_mask.paths
        wanted = request.item
        while time.perf_counter() - acknowledged < _DEADLINE:
            try:
                get = GetItemRequest(item_id=wanted.item_id)
                found = (await self.catalogue.GetItem(get, timeout=_DEADLINE)).item
                if is_new or found.price == wanted.price:
                    break
            except grpc.aio.AioRpcError as error:  # a new item is not there at first
                if error.code() != grpc.StatusCode.NOT_FOUND:
                    self.seen.errors += 1
                    return
            await asyncio.sleep(_LOOK)
        waits = self.seen.fresh if is_new else self.seen.fresh_update
        waits.append(time.perf_counter() - acknowledged)
        if is_new and number % (_LOOKED_FOR_NEW * _ASKED_FOR) == 0:
            ask = RetrieveRequest(query=wanted.title, page_size=100)
            try:
                answer = await self.retrieval.Retrieve(ask, timeout=_DEADLINE)
            except grpc.aio.AioRpcError:
                self.seen.errors += 1
                return
            self.seen.checked += 1
            self.seen.missed += all(result.item_id != wanted.item_id for result in answer.results)

    async def write(
        self, make: Callable[[int], UpsertItemsRequest], rate: float, waits: list[float], every: int
    ) -> None:
        """A stream of writes at fixed times; of `every` so many one is looked for."""
        call = self.catalogue.UpsertItems()
        sent: asyncio.Queue[tuple[float, int, UpsertItemsRequest] | None] = asyncio.Queue()

        async def read() -> None:
            while (one := await sent.get()) is not None:
                answer = await call.read()
                due, number, request = one
                now = time.perf_counter()
                if answer is _EOF or answer.HasField("error"):
                    self.seen.errors += 1
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
        """All loads at their rates."""
        phase = self.phase

        async def ask() -> None:
            async for due, number in ticks(phase.retrieves, phase.seconds):
                self.group.create_task(self.retrieve(due, number))

        work = [ask()]
        if phase.updates:
            rate, waits = phase.updates, self.seen.update
            work.append(self.write(self.update, rate, waits, _LOOKED_FOR_UPDATED))
        if phase.new_items:
            work.append(self.write(self.new, phase.new_items, self.seen.new, _LOOKED_FOR_NEW))
        async with self.group:
            await asyncio.gather(*work)
        due = [round(rate * phase.seconds) for rate in (phase.retrieves, phase.updates)]
        names = ("retrieve", "update", "new", "fresh", "fresh_update")
        return {
            "due": [*due, round(phase.new_items * phase.seconds)],
            "errors": self.seen.errors,
            "checked": self.seen.checked,
            "missed": self.seen.missed,
            **{name: summary(getattr(self.seen, name)) for name in names},
        }

    async def as_fast(self, make: Callable[[int], UpsertItemsRequest]) -> dict[str, Any]:
        """Writes as fast as they are acknowledged, and until the last of them is found."""
        call, start = self.catalogue.UpsertItems(), time.perf_counter()
        room, acknowledged = asyncio.Semaphore(_UNDER_WAY), 0
        written = 0

        async def read() -> None:
            nonlocal acknowledged
            while (answer := await call.read()) is not _EOF:
                self.seen.errors += answer.HasField("error")
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
            "errors": self.seen.errors,
        }

    async def retrieves(self) -> dict[str, Any]:
        """Callers that ask again as soon as they are answered."""
        start = time.perf_counter()
        numbers = count()

        async def caller() -> None:
            while time.perf_counter() - start < self.phase.seconds:
                await self.retrieve(time.perf_counter(), next(numbers))

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
        rate = len(self.seen.retrieve) / (time.perf_counter() - start)
        return {"rate": rate, "errors": self.seen.errors, "retrieve": summary(self.seen.retrieve)}


async def ticks(rate: float, seconds: float) -> Any:
    """When each call is due, at a fixed rate, and its number; late ones come at once."""
    start = time.perf_counter()
    for number in range(round(rate * seconds)):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        yield due, number


def summary(values: list[float]) -> dict[str, float]:
    """Count and percentiles."""
    if not values:
        return {"count": 0}
    half, most = np.percentile(values, [50, 99])
    return {"count": len(values), "p50": float(half), "p99": float(most), "most": max(values)}


async def main(phase: Phase) -> None:
    """Run a phase and print what was seen."""
    async with grpc.aio.insecure_channel(phase.address) as channel:
        load = Load(phase, channel)
        match phase.phase:
            case "together":
                found = await load.together()
            case "updates":
                found = await load.as_fast(load.update)
            case "new items":
                found = await load.as_fast(load.new)
            case _:
                found = await load.retrieves()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    asyncio.run(main(tyro.cli(Phase, prog="python -m bench.load")))
