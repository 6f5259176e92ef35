"""A server that fails and delays as a test asks, and two clients: threaded and asyncio."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, Self

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from shortlist.aio import AsyncClient
from shortlist.client import Client
from shortlist.v1.catalog_service_pb2 import GetItemRequest, GetItemResponse
from shortlist.v1.catalog_service_pb2_grpc import (
    CatalogServiceServicer,
    add_CatalogServiceServicer_to_server,
)
from shortlist.v1.item_pb2 import Item
from shortlist.v1.search_service_pb2 import StreamSearchRequest, StreamSearchResponse
from shortlist.v1.search_service_pb2_grpc import (
    SearchServiceServicer,
    add_SearchServiceServicer_to_server,
)


class FaultyServicer(CatalogServiceServicer, SearchServiceServicer):
    """Delays every call; fails the first calls and answers the others.

    A test sets the attributes. The event `closing` ends all delays.
    """

    def __init__(self) -> None:
        self.code = grpc.StatusCode.UNAVAILABLE
        self.failures = 0  # number of calls that fail
        self.seconds = 0.0  # delay of every call
        self.closing = threading.Event()
        self.retry_seconds: float | None = None
        self.details: bytes | None = None  # sent instead of real error details
        self.fails_after = 0  # parts of a stream before its failure
        self.calls = 0
        self.times: list[float] = []
        self.seen: list[dict[str, str | bytes]] = []

    def GetItem(  # noqa: N802 - gRPC's name
        self, request: GetItemRequest, context: grpc.ServicerContext
    ) -> GetItemResponse:
        self._called(context)
        if self.calls <= self.failures:
            self._fail(context)
        return GetItemResponse(item=Item(item_id=request.item_id))

    def StreamSearch(  # noqa: N802 - gRPC's name
        self,
        request: StreamSearchRequest,  # noqa: ARG002 - as gRPC calls it
        context: grpc.ServicerContext,
    ) -> Iterator[StreamSearchResponse]:
        self._called(context)
        for part in range(2):
            if self.calls <= self.failures and part == self.fails_after:
                self._fail(context)
            yield StreamSearchResponse(last=part == 1)

    def _called(self, context: grpc.ServicerContext) -> None:
        self.calls += 1
        self.times.append(time.monotonic())
        self.seen.append(dict(context.invocation_metadata()))
        self.closing.wait(self.seconds)

    def _fail(self, context: grpc.ServicerContext) -> None:
        if self.details is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", self.details),))
            context.abort(self.code, "not now")
        context.abort_with_status(rpc_status.to_status(self._status()))

    def _status(self) -> status_pb2.Status:
        status = status_pb2.Status(code=self.code.value[0], message="not now")
        if self.retry_seconds is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(self.retry_seconds * 1e9))
            packed = any_pb2.Any()
            packed.Pack(retry)
            status.details.append(packed)
        return status


class BlockingAsyncClient:
    """An AsyncClient with the interface of Client, so that the same tests run for both."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()

        async def make() -> AsyncClient:
            return AsyncClient(*arguments, **options)

        try:
            self._client = self._runner.run(make())
        except BaseException:
            self._runner.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        async def result(answer: Any) -> Any:
            return [part async for part in answer] if hasattr(answer, "__aiter__") else await answer

        def call(*arguments: Any, **options: Any) -> Any:
            if name in ("upsert_items", "delete_items", "stream_events"):
                arguments = tuple(map(_one_by_one, arguments))
            return self._runner.run(result(method(*arguments, **options)))

        return call


async def _one_by_one(messages: Iterable[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


@pytest.fixture(params=[Client, BlockingAsyncClient], ids=["sync", "aio"])
def make_client(request: pytest.FixtureRequest) -> Any:
    """Return the class of the threaded client or of the asyncio client."""
    return request.param


@pytest.fixture
def servicer() -> FaultyServicer:
    return FaultyServicer()


@pytest.fixture
def address(servicer: FaultyServicer) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_CatalogServiceServicer_to_server(servicer, server)
    add_SearchServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    servicer.closing.set()
    server.stop(None).wait()
