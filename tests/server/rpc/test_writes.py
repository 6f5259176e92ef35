"""Writing to the catalogue of a running server."""

import asyncio
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2

from base.errors import InputError
from live.catalogue import LiveCatalogue
from live.config import LiveConfig
from live.log.reading import FILE
from live.log.write_ahead_log import WriteLog
from search.engine import Engine
from search.engine_handle import EngineHandle
from server.config import ServerConfig
from server.rpc import writes
from shortlist.client import Client, ShortlistError
from shortlist.v1.catalog_service_pb2 import (
    DeleteItemsRequest,
    UpsertItemsRequest,
    UpsertItemsResponse,
)
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.item_pb2 import Item
from tests.live.faults import Faults, FaultyIndex
from tests.server.conftest import Running
from tests.timing import eventually, turn
from tests.tiny import tiny_items

Serving = Callable[..., AbstractContextManager[Running]]
SECONDS = 30


@pytest.fixture
def live_config(config: ServerConfig, tmp_path: Path) -> ServerConfig:
    return replace(config, state=tmp_path / "state")


@pytest.fixture
def live(live_config: ServerConfig, serving: Serving) -> Iterator[Running]:
    with serving(live_config) as running:
        yield running


def upsert(address: str, *requests: UpsertItemsRequest) -> list[UpsertItemsResponse]:
    with grpc.insecure_channel(address) as channel:
        return list(CatalogServiceStub(channel).UpsertItems(iter(requests), timeout=SECONDS))


def delete(address: str, *item_ids: str) -> list[int]:
    requests = [DeleteItemsRequest(request_id=f"d-{i}", item_id=i) for i in item_ids]
    with grpc.insecure_channel(address) as channel:
        answers = CatalogServiceStub(channel).DeleteItems(iter(requests), timeout=SECONDS)
        return [answer.sequence for answer in answers]


def violated(answer: UpsertItemsResponse) -> tuple[int, list[str]]:
    bad = error_details_pb2.BadRequest()
    for detail in answer.error.details:
        detail.Unpack(bad)
    return answer.error.code, [violation.field for violation in bad.field_violations]


LAMP = Item(item_id="lamp", title="Zyx brass reading lamp", price=20.0)


def test_a_stream_of_writes_is_answered_in_its_order(live: Running) -> None:
    requests = [
        UpsertItemsRequest(request_id=f"r{n}", item=Item(item_id=f"i{n}", title=f"Thing {n}"))
        for n in range(500)
    ]
    answers = upsert(live.address, *requests)
    assert [answer.request_id for answer in answers] == [f"r{n}" for n in range(500)]
    assert [answer.sequence for answer in answers] == list(range(1, 501))
    again = upsert(live.address, *requests[:3])
    assert [(a.sequence, a.repeated) for a in again] == [(1, True), (2, True), (3, True)]


def test_what_was_written_is_found_and_survives_a_restart(
    live_config: ServerConfig, serving: Serving
) -> None:
    item_id = tiny_items()[0].item_id
    with serving(live_config) as running, Client(running.address) as client:
        upsert(running.address, UpsertItemsRequest(request_id="a", item=LAMP))
        price = UpsertItemsRequest(
            request_id="b",
            item=Item(item_id=item_id, price=3.0),
            update_mask=FieldMask(paths=["price", "in_stock"]),
        )
        assert upsert(running.address, price)[0].sequence == 2
        changed = client.get_item(item_id)
        assert changed.price == 3.0
        assert not changed.HasField("in_stock")
        assert changed.title == tiny_items()[0].title
        eventually(lambda: client.search("zyx reading lamp").results[0].item_id == "lamp")
        assert delete(running.address, item_id, "nobody") == [3, 4]
        with pytest.raises(ShortlistError, match="NOT_FOUND"):
            client.get_item(item_id)
    with serving(live_config) as running, Client(running.address) as client:
        assert client.search("zyx reading lamp").results[0].item_id == "lamp"
        with pytest.raises(ShortlistError, match="NOT_FOUND"):
            client.get_item(item_id)


def test_a_write_that_cannot_be_made_says_why_and_those_behind_it_are_made(live: Running) -> None:
    def mask(*paths: str) -> FieldMask:
        return FieldMask(paths=paths)

    bad = [
        (UpsertItemsRequest(item=LAMP), "request_id"),
        (UpsertItemsRequest(request_id="r" * 65, item=LAMP), "request_id"),
        (UpsertItemsRequest(request_id="r1", item=Item(title="no id")), "item.item_id"),
        (UpsertItemsRequest(request_id="r2", item=Item(item_id="x")), "item.title"),
        (
            UpsertItemsRequest(request_id="r3", item=Item(item_id="x", title="x", rating=6)),
            "item.rating",
        ),
        (
            UpsertItemsRequest(request_id="r4", item=LAMP, update_mask=mask("price", "colour")),
            "update_mask.paths[1]",
        ),
        (
            UpsertItemsRequest(request_id="r5", item=LAMP, update_mask=mask("item_id")),
            "update_mask.paths[0]",
        ),
        (
            UpsertItemsRequest(request_id="r6", item=Item(item_id="x"), update_mask=mask("title")),
            "item.title",
        ),
    ]
    good = UpsertItemsRequest(request_id="good", item=LAMP)
    answers = upsert(live.address, *[request for request, _ in bad], good)
    assert [violated(answer) for answer in answers[:-1]] == [
        (grpc.StatusCode.INVALID_ARGUMENT.value[0], [field]) for _, field in bad
    ]
    assert answers[-1].sequence == 1
    unknown, reused = upsert(
        live.address,
        UpsertItemsRequest(
            request_id="r7", item=Item(item_id="nobody", price=1), update_mask=mask("price")
        ),
        UpsertItemsRequest(request_id="good", item=Item(item_id="lamp", title="Another")),
    )
    assert unknown.error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert violated(reused) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], ["request_id"])


def test_a_server_without_state_takes_no_writes(address: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        upsert(address, UpsertItemsRequest(request_id="a", item=LAMP))
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "--state" in refused.value.details()


def test_writes_fail_while_the_log_is_away_and_searches_go_on(
    live_config: ServerConfig, live: Running, caplog: pytest.LogCaptureFixture
) -> None:
    assert live_config.state is not None
    log, away = live_config.state / FILE, live_config.state / "away"
    request = UpsertItemsRequest(request_id="a", item=LAMP)
    log.rename(away)
    answers = upsert(live.address, request, request)
    assert [answer.error.code for answer in answers] == [grpc.StatusCode.UNAVAILABLE.value[0]] * 2
    assert f"{log}: was removed while it was in use; put the same file back" in caplog.text
    with Client(live.address) as client:
        assert client.search("usb c charger").results
        assert list(client.batch_get_items(["lamp"]).missing_item_ids) == ["lamp"]
    away.rename(log)
    assert [answer.sequence for answer in upsert(live.address, request, request)] == [1, 1]


def test_pages_go_on_after_a_compaction_and_end_with_another_bundle(
    live: Running, recall_bundle: Path
) -> None:
    assert live.service.bundles is not None
    bundles, query = live.service.bundles, "usb c charger"
    with Client(live.address) as client:
        price = Item(item_id=tiny_items()[0].item_id, price=3.0)
        mask = FieldMask(paths=["price"])
        upsert(live.address, UpsertItemsRequest(request_id="a", item=price, update_mask=mask))
        whole = [result.item_id for result in client.search(query, page_size=20).results]
        page = client.search(query, page_size=5)
        assert live.service.live is not None
        live.service.live.compact()
        ids = [result.item_id for result in page.results]
        for number in (1, 2, 3):
            before, token = page.bundle_id, page.next_page_token
            page = client.search(query, page_size=5, page_token=token)
            assert (page.bundle_id != before) == (number == 1)
            assert [result.rank for result in page.results] == [5 * number + n for n in range(1, 6)]
            ids += [result.item_id for result in page.results]
        assert ids == whole
        token = page.next_page_token
        bundles.adopt(Engine.load(recall_bundle))
        with pytest.raises(ShortlistError) as expired:
            client.search(query, page_size=5, page_token=token)
        assert expired.value.reason == "PAGE_TOKEN_EXPIRED"


def test_recall_is_in_the_metrics_from_the_start_and_after_a_compaction(
    live_config: ServerConfig, serving: Serving
) -> None:
    with serving(replace(live_config, metrics_port=0)) as running:
        url = f"http://127.0.0.1:{running.service.metrics_port}/metrics"

        def metrics() -> list[str]:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:
                text: str = answer.read().decode()
            return text.splitlines()

        eventually(lambda: "shortlist_index_recall 1.0" in metrics())  # exact index
        upsert(running.address, UpsertItemsRequest(request_id="a", item=LAMP))
        assert running.service.live is not None
        running.service.live.compact()
        assert {"shortlist_index_recall 1.0", "shortlist_compactions_total 1.0"} <= {*metrics()}


@pytest.mark.usefixtures("live")
def test_two_servers_cannot_share_a_state(live_config: ServerConfig, serving: Serving) -> None:
    refused = pytest.raises(InputError, match=r"another server is writing to .*state")
    with refused, serving(live_config):
        pass


def test_a_price_gets_past_many_streams_that_wait_for_the_encoder(
    live_config: ServerConfig, serving: Serving
) -> None:
    few = replace(live_config, live=replace(live_config.live, pending_items=0))
    may = threading.Event()
    faults = Faults(encode=lambda encode, texts: may.wait(SECONDS) and encode(texts))
    with serving(few, open_index=partial(FaultyIndex, faults=faults)) as live:
        assert (
            upsert(live.address, UpsertItemsRequest(request_id="first", item=LAMP))[0].sequence == 1
        )
        item_id = tiny_items()[0].item_id
        price = UpsertItemsRequest(
            request_id="price",
            item=Item(item_id=item_id, price=3.0),
            update_mask=FieldMask(paths=["price"]),
        )
        with grpc.insecure_channel(live.address) as channel, Client(live.address) as client:
            stub = CatalogServiceStub(channel)
            new = [Item(item_id=f"i{n}", title="Thing") for n in range(40)]
            writes = [UpsertItemsRequest(request_id=item.item_id, item=item) for item in new]
            calls = [stub.UpsertItems(iter([write]), timeout=2 * SECONDS) for write in writes]
            assert upsert(live.address, price)[0].sequence == 2
            assert client.get_item(item_id).price == 3.0
            assert not any(call.done() for call in calls)
            may.set()
            assert {next(call).sequence for call in calls} == set(range(3, 43))


def test_the_pauses_of_a_write_that_waits_double_up_to_the_longest(
    engine: Engine, tmp_path: Path
) -> None:
    config = LiveConfig(pending_items=0, retry_write_seconds=0.1, max_retry_write_seconds=0.5)
    may, pauses = threading.Event(), list[float]()
    faults = Faults(encode=lambda encode, texts: may.wait(SECONDS) and encode(texts))
    live = LiveCatalogue(
        EngineHandle(Engine(engine.directory, engine.manifest, engine.config, engine.models)),
        WriteLog.open(tmp_path),
        tmp_path / "bundles",
        config,
        open_index=partial(FaultyIndex, faults=faults),
    )

    async def record(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            may.set()
        await turn()

    async def stream() -> AsyncIterator[UpsertItemsRequest]:
        for name in ("a", "b"):
            yield UpsertItemsRequest(request_id=name, item=Item(item_id=name, title="Thing"))
            while not live.report().pending:
                await turn()

    async def scenario() -> list[int]:
        answers = writes.answers(stream(), writes.upsert, UpsertItemsResponse, live, "", record)
        return [answer.sequence async for answer in answers]

    with closing(live):
        assert asyncio.run(scenario()) == [1, 2]
    assert pauses[:5] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_recall_is_measured_although_requests_never_end(
    live_config: ServerConfig, serving: Serving
) -> None:
    # The measurement gives way before each of dozens of steps.
    hasty = replace(live_config.live, give_way_seconds=0.001, check_seconds=0.05)
    with serving(replace(live_config, live=hasty)) as running:
        request, live = threading.Event(), running.service.live
        assert live is not None
        gate = running.service.pool.run(lambda: request.wait(SECONDS))
        endless = asyncio.run_coroutine_threadsafe(gate, running.loop)
        eventually(lambda: live.report().recall is not None, 15.0)
        assert not endless.done()
        request.set()


def test_a_caller_that_goes_leaves_the_server_writing(live: Running) -> None:
    def forever() -> Iterator[UpsertItemsRequest]:
        for number in range(1_000_000):
            item = Item(item_id=f"i{number}", title=f"Thing {number}")
            yield UpsertItemsRequest(request_id=f"r{number}", item=item)

    with grpc.insecure_channel(live.address) as channel:
        for _ in range(20):
            call = CatalogServiceStub(channel).UpsertItems(forever(), timeout=SECONDS)
            next(call)
            call.cancel()
    answer = upsert(live.address, UpsertItemsRequest(request_id="last", item=LAMP))[0]
    assert answer.sequence > 0
