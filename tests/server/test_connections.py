"""Limits of a connection: keepalive pings and calls at a time."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from base.errors import InputError
from server.config import ServerConfig
from shortlist.v1.catalog_service_pb2 import BatchGetItemsRequest
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tests.server.conftest import Running

Serving = Callable[[ServerConfig], AbstractContextManager[Running]]
PING_SECONDS = 1.0  # gRPC's clients ping at most once a second
# gRPC closes a connection at the third ping that comes too early, which is the fourth ping in all.
WATCHED_SECONDS = 7.0


def is_closed(address: str, *, during_a_call: bool) -> bool:
    """Return whether the server closes the connection of a client that pings often."""
    pings = [
        ("grpc.keepalive_time_ms", round(1000 * PING_SECONDS)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    connected, closed = threading.Event(), threading.Event()

    def see(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.READY:
            connected.set()
        elif connected.is_set():
            closed.set()

    with grpc.insecure_channel(address, options=pings) as channel:
        catalog = CatalogServiceStub(channel)
        channel.subscribe(see)
        catalog.BatchGetItems(BatchGetItemsRequest(item_ids=["x"]), timeout=30)
        assert connected.wait(30)
        if during_a_call:
            never = queue.Queue[None]()
            call = catalog.UpsertItems(iter(never.get, None))
        was_closed = closed.wait(WATCHED_SECONDS)
        if during_a_call:
            call.cancel()
            never.put(None)
        channel.unsubscribe(see)
    return was_closed


@pytest.mark.slow
def test_clients_may_ping_as_often_as_the_setting_says(
    config: ServerConfig, serving: Serving, tmp_path: Path
) -> None:
    often = replace(config, min_ping_seconds=PING_SECONDS / 2, state=tmp_path / "often")
    rarely = replace(config, min_ping_seconds=60.0, state=tmp_path / "rarely")
    with serving(often) as some, serving(rarely) as other, ThreadPoolExecutor(4) as clients:
        watched = {
            (server.address, during): clients.submit(
                is_closed, server.address, during_a_call=during
            )
            for server in (some, other)
            for during in (False, True)
        }
        closed = {key for key, future in watched.items() if future.result()}
    assert closed == {(other.address, False), (other.address, True)}


def test_the_default_allows_a_ping_every_ten_seconds(config: ServerConfig) -> None:
    assert config.min_ping_seconds <= 5.0  # half of that, because pings arrive at uneven times


def test_a_call_above_the_limit_of_a_connection_waits_for_another_to_end(
    config: ServerConfig, serving: Serving, tmp_path: Path
) -> None:
    config = replace(config, state=tmp_path, max_calls_per_connection=2)
    never = queue.Queue[None]()
    request = BatchGetItemsRequest(item_ids=["x"])
    with serving(config) as server, grpc.insecure_channel(server.address) as channel:
        catalog = CatalogServiceStub(channel)
        catalog.BatchGetItems(request, timeout=30)  # the client now knows the limit
        streams = [catalog.UpsertItems(iter(never.get, None)) for _ in range(2)]
        with pytest.raises(grpc.RpcError) as late:
            catalog.BatchGetItems(request, timeout=1)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting = catalog.BatchGetItems.future(request, timeout=30)
        streams[0].cancel()
        assert waiting.result().missing_item_ids == ["x"]
        streams[1].cancel()
        for _ in streams:
            never.put(None)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), 86_401.0])
def test_an_impossible_time_between_pings_is_refused(config: ServerConfig, seconds: float) -> None:
    with pytest.raises(InputError, match="--min-ping-seconds: must be from 0 to 86400"):
        replace(config, min_ping_seconds=seconds)
