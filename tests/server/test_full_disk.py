"""A server whose disk is full at its start, and a server with items that wait to be indexed."""

import threading
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest

from live.compaction import CompactionError
from server.cli.health import HealthConfig, ask_health
from server.config import ServerConfig
from shortlist.client import Client
from shortlist.v1.admin_service_pb2 import GetStatusRequest, WriteStatus
from shortlist.v1.admin_service_pb2_grpc import AdminServiceStub
from shortlist.v1.catalog_service_pb2 import UpsertItemsRequest, UpsertItemsResponse
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.item_pb2 import Item
from tests.live.faults import Encode, Faults, FaultyIndex
from tests.server.conftest import Running
from tests.small_disk import small_disk
from tests.timing import eventually

Serving = Callable[..., AbstractContextManager[Running]]
SECONDS = 60


def write(address: str, item_id: str) -> UpsertItemsResponse:
    """Write a new item with the title "Zyx lamp"."""
    item = Item(item_id=item_id, title="Zyx lamp")
    with grpc.insecure_channel(address) as channel:
        requests = iter([UpsertItemsRequest(request_id=item_id, item=item)])
        [answer] = CatalogServiceStub(channel).UpsertItems(requests, timeout=SECONDS)
    return answer


def test_a_server_starts_on_a_full_disk_searches_and_recovers(
    config: ServerConfig, serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        with_state = replace(config, state=disk.path / "state")
        with serving(with_state) as running:
            assert write(running.address, "first").sequence == 1
        disk.fill()
        with serving(with_state) as running, Client(running.address) as client:
            assert client.search("usb c charger").results
            for number in range(5):
                answer = write(running.address, f"failed-{number}")
                assert answer.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
            disk.free()
            assert write(running.address, "second").sequence == 2
            eventually(lambda: not client.batch_get_items(["first", "second"]).missing_item_ids)
            found = {result.item_id for result in client.search("zyx lamp").results}
            assert {"first", "second"} <= found
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    written, indexed = sorted(errors)
    assert written.startswith("writes could not be made: ")
    assert indexed.startswith("written items could not be indexed yet: ")


def test_items_that_wait_and_failed_compactions_are_in_the_status_and_the_metrics(
    config: ServerConfig, serving: Serving, tmp_path: Path
) -> None:
    state, may = tmp_path / "state", threading.Event()

    def encode_later(encode: Encode, texts: Sequence[str]) -> np.ndarray:
        assert may.wait(SECONDS)
        return encode(texts)

    with serving(
        replace(config, state=state, admin_port=0, metrics_port=0),
        open_index=partial(FaultyIndex, faults=Faults(encode=encode_later)),
    ) as running:

        def status() -> WriteStatus:
            with grpc.insecure_channel(f"127.0.0.1:{running.service.admin_port}") as channel:
                return AdminServiceStub(channel).GetStatus(GetStatusRequest(), timeout=5).writes

        def metrics() -> dict[str, float]:
            url = f"http://127.0.0.1:{running.service.metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
            return {name: float(value) for name, value in pairs}

        assert write(running.address, "lamp").sequence == 1
        eventually(lambda: status().oldest_pending_age.ToMilliseconds() > 100)
        waiting = status()
        assert (waiting.durable_sequence, waiting.visible_sequence) == (1, 0)
        assert (waiting.pending_item_count, waiting.set_aside_item_count) == (1, 0)
        assert metrics()["shortlist_pending_items"] == 1
        assert metrics()["shortlist_oldest_pending_seconds"] > 0.1
        # The server still answers every search, so it stays healthy.
        assert ask_health(HealthConfig(address=running.address)) == "SERVING"
        may.set()
        eventually(lambda: status().visible_sequence == 1)
        assert not status().HasField("oldest_pending_age")
        assert metrics()["shortlist_oldest_pending_seconds"] == 0
        assert not status().HasField("last_compaction_failure")
        (state / "bundles").touch()  # a file instead of the directory of bundles
        assert running.service.live is not None
        with pytest.raises(CompactionError):
            running.service.live.compact()
        assert str(state / "bundles") in status().last_compaction_failure.reason
        assert status().last_compaction_failure.fail_time.ToSeconds() > 0
        assert metrics()["shortlist_failed_compactions_total"] == 1


def test_a_server_without_state_has_no_status_of_writes(
    config: ServerConfig, serving: Serving
) -> None:
    with serving(replace(config, admin_port=0)) as running:
        with grpc.insecure_channel(f"127.0.0.1:{running.service.admin_port}") as channel:
            answer = AdminServiceStub(channel).GetStatus(GetStatusRequest(), timeout=5)
        assert not answer.HasField("writes")
