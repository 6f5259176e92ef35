"""A whole server is killed during writes and searches; the next server must have the right items.

By default, the test kills a server once at each of two failpoints. `TEST_SERVER_KILLS=3` sets three
kills at every failpoint, which take many minutes. `tests/live/log/test_killed.py` and
`tests/live/test_bundle_store_killed.py` kill processes without models much more often.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from base.failpoints import NAMES, VARIABLE
from server.config import ServerConfig
from server.convert.items import item_message
from shortlist.client import Client, ShortlistError
from shortlist.v1.catalog_service_pb2 import DeleteItemsRequest, UpsertItemsRequest
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.item_pb2 import Item
from tests.live.test_bundle_store_killed import COMPACTION
from tests.timing import eventually
from tests.tiny import tiny_items

ROOT = Path(__file__).parents[2]
KILLS = os.environ.get("TEST_SERVER_KILLS")  # kills per failpoint
FEW = ("log.after-commit", "compaction.before-index")
PLACES = sorted(n for n in NAMES if not n.startswith("events.")) if KILLS else FEW
SECONDS = 120.0  # maximum time until a kill or an answer
GIVEN = [item.item_id for item in tiny_items()]

Request = UpsertItemsRequest | DeleteItemsRequest
Items = Mapping[str, Item]


# ---- what is written


@dataclass
class Writes:
    """The writes of a client, and the items that must exist after the acknowledged writes."""

    chance: random.Random
    items: dict[str, Item]
    gone: set[str] = field(default_factory=set)  # items with an acknowledged, final deletion
    known: set[str] = field(default_factory=lambda: set(GIVEN))  # all ids that ever existed
    last: list[Request] = field(default_factory=list)  # last stream, fully acknowledged
    pending: list[Request] = field(default_factory=list)  # sent, but not acknowledged
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def next_stream(self) -> list[Request]:
        """Return a stream of whole and partial upserts, or of deletions."""
        number = next(self._numbers)
        if number % 2:
            doomed = [i for i in self.items if i.startswith("brief")]
            doomed += self.chance.sample(sorted(self.items), 1)
            return [
                DeleteItemsRequest(request_id=f"{number}-{i}", item_id=i)
                for i in dict.fromkeys(doomed)  # without duplicates
            ]
        names = [f"brief {number}", *(f"thing {self.chance.randrange(12)}" for _ in range(3))]
        requests = [
            UpsertItemsRequest(request_id=f"{number}-{n}", item=self._whole(name))
            for n, name in enumerate(names)
        ]
        there = sorted(i for i in {*self.items, *names} if not i.startswith("brief"))
        for n, name in enumerate(self.chance.sample(there, 3)):
            item = self._whole(name)
            paths = ["price", "brand"] if n else ["price", "title"]
            mask = FieldMask(paths=paths)
            requests.append(
                UpsertItemsRequest(request_id=f"{number}p{n}", item=item, update_mask=mask)
            )
        return requests

    def acknowledged(self, request: Request) -> None:
        self.items = applied(self.items, [request])
        if isinstance(request, DeleteItemsRequest) and request.item_id.startswith("brief"):
            self.gone.add(request.item_id)

    def _whole(self, item_id: str) -> Item:
        self.known.add(item_id)
        item = Item(item_id=item_id, title=f"Thing number {self.chance.randrange(100)}")
        if self.chance.random() < 0.5:
            item.price = float(self.chance.randrange(100))
        return item


def applied(items: Items, requests: Sequence[Request]) -> dict[str, Item]:
    """Return the items after some writes."""
    after = dict(items)
    for request in requests:
        if isinstance(request, DeleteItemsRequest):
            after.pop(request.item_id, None)
            continue
        item = Item()
        item.CopyFrom(request.item)
        if request.update_mask.paths:
            item.CopyFrom(after[item.item_id])
            for path in request.update_mask.paths:
                item.ClearField(path)
                if path in {descriptor.name for descriptor, _ in request.item.ListFields()}:
                    setattr(item, path, getattr(request.item, path))
        after[item.item_id] = item
    return after


def send(address: str, requests: Sequence[Request], writes: Writes) -> list[bool]:
    """Send a stream of writes; return, for each acknowledged write, whether it was repeated."""
    told = []
    with grpc.insecure_channel(address) as channel:
        stub = CatalogServiceStub(channel)
        deletes = isinstance(requests[0], DeleteItemsRequest)
        method = stub.DeleteItems if deletes else stub.UpsertItems
        writes.pending = list(requests)
        try:
            for answer in method(iter(requests), timeout=SECONDS):
                assert not answer.HasField("error"), answer
                assert answer.request_id == writes.pending[0].request_id
                writes.acknowledged(writes.pending.pop(0))
                told.append(answer.repeated)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
    if not writes.pending:
        writes.last = list(requests)
    return told


# ---- the server


@contextmanager
def server(
    config: ServerConfig, state: Path, failpoint: str | None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a server process and its address, which is empty if the start was killed."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos'}"}
    environment.pop(VARIABLE, None)
    if failpoint:
        environment[VARIABLE] = failpoint
    flags = {
        "--bundle": config.bundle,
        "--state": state,
        "--port": 0,
        "--compilation-cache": config.compilation_cache,
        "--drain-seconds": 0,
        "--live.compact-from": 5,
        "--live.compact-share": 0.01,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "server", *(str(part) for pair in flags.items() for part in pair)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip().removeprefix("listening on ")
    finally:
        process.kill()
        process.communicate()


def search_until(stop: threading.Event, address: str, writes: Writes, wrong: list[object]) -> None:
    """Search and read items until `stop` is set; add deleted items in the answers to `wrong`."""
    with Client(address, timeout_seconds=SECONDS) as client:
        while not stop.is_set():
            gone = sorted(writes.gone)
            try:
                hits = client.search("thing number", page_size=100).results
                items = client.batch_get_items([*gone[-99:], GIVEN[0]]).items
                found = {each.item_id for each in (*hits, *items)}
            except ShortlistError as error:
                if error.code != grpc.StatusCode.UNAVAILABLE:
                    wrong.append(error)
                return
            wrong += found & set(gone)
            stop.wait(0.05)


def write_until_killed(config: ServerConfig, state: Path, failpoint: str, writes: Writes) -> None:
    """Write to a server, and search it, until a failpoint kills it."""
    stop, wrong = threading.Event(), list[object]()
    with server(config, state, failpoint) as (process, address):
        if address:
            searcher = threading.Thread(
                daemon=True, target=search_until, args=(stop, address, writes, wrong)
            )
            searcher.start()
            try:
                end = time.monotonic() + SECONDS
                closing = failpoint.startswith(("log.before-close", "log.after-close"))
                for number in itertools.count():
                    assert time.monotonic() < end, f"it never came to {failpoint}"
                    send(address, writes.next_stream(), writes)
                    if closing and number == 5:
                        process.send_signal(signal.SIGTERM)
                        process.wait(SECONDS)
                    if writes.pending or process.poll() is not None:
                        break
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(0.1)  # time to index and to compact between two streams
            finally:
                stop.set()
                searcher.join()
        assert process.wait(SECONDS) == -signal.SIGKILL
    assert wrong == []


def compare(config: ServerConfig, state: Path, writes: Writes) -> None:
    """Check that a new server has all acknowledged writes, and accepts the pending ones again."""
    with server(config, state, None) as (process, address):
        with Client(address, timeout_seconds=SECONDS) as client:
            found = items_of(client, writes)
            after = [
                applied(writes.items, writes.pending[:kept])
                for kept in range(len(writes.pending) + 1)
            ]
            # The killed server applied the first few pending writes, each completely.
            assert found in after
            findable(client, found, writes)
            pending, before = writes.pending, dict(writes.items)
            if writes.last:
                assert all(send(address, writes.last, writes))
                writes.items = before  # repeated writes do not change items
            if pending:
                repeated = send(address, pending, writes)
                assert repeated == sorted(repeated, reverse=True)
                assert found == applied(before, pending[: sum(repeated)])
            # New texts become visible a moment after the answer.
            eventually(lambda: items_of(client, writes) == writes.items, SECONDS)
        process.terminate()
        assert process.wait(SECONDS) == 0
    # The new server removed the killed server's temporary files and, at its end, its own.
    assert not (state / "scratch").exists()


def items_of(client: Client, writes: Writes) -> Items:
    """Return the items of a server, of all ids that ever existed."""
    found: dict[str, Item] = {}
    ids = sorted(writes.known)
    for start in range(0, len(ids), 100):
        response = client.batch_get_items(ids[start : start + 100])
        found |= {item.item_id: item for item in response.items}
    return found


def findable(client: Client, items: Items, writes: Writes) -> None:
    """Check that searches find exactly the items that exist."""
    retrieved = {hit.item_id for hit in client.retrieve("thing number", page_size=1000).results}
    assert retrieved == items.keys()
    found = {hit.item_id for hit in client.search("thing number 7", page_size=100).results}
    assert found <= items.keys()
    for item_id in sorted(writes.gone)[-3:]:
        with pytest.raises(ShortlistError, match="NOT_FOUND"):
            client.get_item(item_id)


# ---- tests


def test_every_failpoint_is_passed_by_a_process_that_is_killed_there():
    of_a_log = {name for name in NAMES if name.startswith("log.")}
    # tests/behaviour/log/test_killed.py kills a process at the failpoints of the event log.
    of_events = {name for name in NAMES if name.startswith("events.")}
    assert of_a_log | of_events | COMPACTION == NAMES
    assert {name.split(".")[0] for name in FEW} == {"log", "compaction"}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.slow
def test_a_killed_server_loses_nothing_acknowledged_and_serves_nothing_deleted(
    name: str, config: ServerConfig, tmp_path: Path
):
    new_each_time = name.startswith("log.create.")
    writes = Writes(random.Random(name), {i.item_id: item_message(i) for i in tiny_items()})
    for kill in range(int(KILLS or 1)):
        state = tmp_path / (f"state {kill}" if new_each_time else "state")
        most = 1 if new_each_time or "close" in name else 2 if name in COMPACTION else 5
        passage = writes.chance.randint(1, most if KILLS else 1)
        write_until_killed(config, state, f"{name}:{passage}", writes)
        compare(config, state, writes)
