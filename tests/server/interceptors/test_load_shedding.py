"""Load shedding, over a real server and channel."""

# ruff: noqa: ARG002, N802 - gRPC defines the names and the arguments of the methods

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status
from prometheus_client import generate_latest

from search.config import EngineConfig
from server.auth.tokens import Tokens
from server.interceptors.access import AccessInterceptor
from server.interceptors.load_shedding import LoadSheddingInterceptor
from server.observe.metrics import Metrics
from server.rpc.services import QUEUED, ROLES
from server.worker_pool import WorkerPool
from shortlist.client import Client
from shortlist.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)
from tests.timing import SOON, Clock, eventually, turn


class Search(search_service_pb2_grpc.SearchServiceServicer):
    """Answers every call at once with an empty message."""

    async def Search(self, request, context):
        return search_service_pb2.SearchResponse()

    async def StreamSearch(self, request, context):
        yield search_service_pb2.StreamSearchResponse()


class Catalog(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Answers every call at once with an empty message. Its calls do not use the worker pool."""

    async def GetItem(self, request, context):
        return catalog_service_pb2.GetItemResponse()


@asynccontextmanager
async def serving(
    pool: WorkerPool,
    metrics: Metrics,
    access: AccessInterceptor | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    others = [access] if access else []
    shedding = LoadSheddingInterceptor(pool, metrics, QUEUED, access, clock=clock or Clock())
    server = grpc.aio.server(interceptors=[shedding, *others])
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(Search(), server)
    catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(Catalog(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


@asynccontextmanager
async def full(pool: WorkerPool) -> AsyncIterator[None]:
    """Fill the pool: one job runs and one waits."""
    running, opened = threading.Event(), threading.Event()

    def job() -> None:
        running.set()
        assert opened.wait(SOON)

    first = asyncio.create_task(pool.run(job))
    assert await asyncio.to_thread(running.wait, SOON)
    second = asyncio.create_task(pool.run(lambda: None))
    await turn()  # the second task starts, so its job enters the queue
    yield
    opened.set()
    await asyncio.gather(first, second)


async def raw(channel: grpc.aio.Channel, method: str, request: bytes) -> object:
    """Make a call with these bytes; return "OK" or the error."""
    many = method.endswith("StreamSearch")
    call = (channel.unary_stream if many else channel.unary_unary)(method)
    try:
        if many:
            async for _ in call(request, timeout=SOON):
                pass
        else:
            await call(request, timeout=SOON, metadata=(("x-request-id", "mine"),))
    except grpc.aio.AioRpcError as error:
        return error
    return "OK"


async def unfinished(channel: grpc.aio.Channel, method: str) -> object:
    """Make a call without ever sending its request; return "OK" or the error."""
    call = channel.stream_unary(method)(timeout=SOON)
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    return "OK"


def test_a_full_queue_refuses_model_work_unread_and_says_when_to_try_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics, clock = Metrics(), Clock()
    pool = WorkerPool(queue_size=1)

    async def scenario() -> dict[str, list[object]]:
        search, stream = (
            "/shortlist.v1.SearchService/Search",
            "/shortlist.v1.SearchService/StreamSearch",
        )
        item, none = "/shortlist.v1.CatalogService/GetItem", "/shortlist.v1.SearchService/None"
        methods = (search, stream, item, none)
        async with serving(pool, metrics, clock=clock) as channel:
            before = [await raw(channel, method, b"") for method in methods]
            async with full(pool):
                meanwhile = [await raw(channel, method, b"") for method in methods]
                unread = await raw(channel, search, b"\xff no message of protobuf")
                clock.advance(1.0)
                unsent = await unfinished(channel, search)
            after = [await raw(channel, method, b"") for method in methods]
        return {"before": before, "meanwhile": [*meanwhile, unread, unsent], "after": after}

    with caplog.at_level(logging.WARNING):
        found = asyncio.run(scenario())
    pool.close()
    for when in ("before", "after"):
        *answered, unknown = found[when]
        assert answered == ["OK", "OK", "OK"]
        assert unknown.code() is grpc.StatusCode.UNIMPLEMENTED
    search, stream, item, unknown, unread, unsent = found["meanwhile"]
    assert item == "OK"
    assert unknown.code() is grpc.StatusCode.UNIMPLEMENTED
    for refused in (search, stream, unread, unsent):
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info, retry = ErrorInfo(), RetryInfo()
        for detail, into in zip(rpc_status.from_call(refused).details, (info, retry), strict=True):
            assert detail.Unpack(into)
        assert info.reason == "OVERLOADED"
        assert 0.1 <= retry.retry_delay.ToTimedelta().total_seconds() <= 10
    assert ("x-request-id", "mine") in tuple(search.trailing_metadata())
    counted = generate_latest(metrics.registry).decode()
    label = 'code="RESOURCE_EXHAUSTED",method="shortlist.v1.SearchService/Search"'
    assert f"shortlist_calls_total{{{label}}} 3.0" in counted
    logged = [record for record in caplog.records if record.getMessage() == "queue is full"]
    # Such a line is logged at most once per second. It counts the calls since the previous line.
    assert [vars(record)["fields"] for record in logged] == [
        {"refused_calls": 1},
        {"refused_calls": 3},
    ]


def test_searches_that_others_wait_behind_do_less(config, serving) -> None:
    """Many searches wait behind the first one, and no search waits behind the last one."""
    many = 20
    with (
        serving(replace(config, threads=1, engine=EngineConfig(cache_megabytes=0))) as server,
        Client(server.address, timeout_seconds=60) as client,
        ThreadPoolExecutor(many) as callers,
    ):
        pool, opened = server.service.pool, threading.Event()
        gate = asyncio.run_coroutine_threadsafe(pool.run(lambda: opened.wait(SOON)), server.loop)
        pairs = server.service.bundles.engine_handle.engine.models.pairs
        for shape in pairs.forward.shapes:
            for _ in range(40):
                pairs.forward.measured(shape, 3.0)
        calls = [callers.submit(client.search, "usb c charger") for _ in range(many)]
        eventually(lambda: pool.waiting == many)
        opened.set()
        gate.result(SOON)
        reranked = sorted(call.result().reranked_count for call in calls)
        targets = {call.result().coverage.rerank_target_count for call in calls}
    assert reranked[0] == 0
    assert {reranked[-1]} == targets


def test_tokens_are_checked_while_the_queue_is_full(
    tmp_path: Path,
) -> None:
    file = tmp_path / "tokens"
    digest = hashlib.sha256(b"a-secret-of-a-reader").hexdigest()
    file.write_text(f"read: {digest}\n")
    pool = WorkerPool(queue_size=1)

    async def scenario() -> list[object]:
        access = AccessInterceptor(Tokens(file), ROLES)
        method = "/shortlist.v1.SearchService/Search"
        async with serving(pool, Metrics(), access) as channel, full(pool):
            call = channel.unary_unary(method)
            codes = []
            for token in ("of nobody", "a-secret-of-a-reader"):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(b"", metadata=(("authorization", f"Bearer {token}"),), timeout=SOON)
                codes.append(refused.value.code())
        return codes

    codes = asyncio.run(scenario())
    pool.close()
    assert codes == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED]
