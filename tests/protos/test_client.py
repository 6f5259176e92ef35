"""How the client behaves towards servers that are slow, busy or going away."""

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from shortlist.client import Client, ShortlistError, Tls
from shortlist.v1.catalog_service_pb2 import GetItemRequest, GetItemResponse
from shortlist.v1.catalog_service_pb2_grpc import (
    CatalogServiceServicer,
    add_CatalogServiceServicer_to_server,
)
from shortlist.v1.item_pb2 import Item

Code = grpc.StatusCode


class Unwilling(CatalogServiceServicer):
    """Takes its time and fails as often as told, then answers."""

    def __init__(self) -> None:
        self.code = Code.UNAVAILABLE
        self.failures = 0
        self.seconds = 0.0
        self.calls = 0

    def GetItem(  # noqa: N802
        self, request: GetItemRequest, context: grpc.ServicerContext
    ) -> GetItemResponse:
        self.calls += 1
        time.sleep(self.seconds)
        if self.calls <= self.failures:
            context.abort(self.code, "not now")
        return GetItemResponse(item=Item(item_id=request.item_id))


@pytest.fixture
def servicer() -> Unwilling:
    return Unwilling()


@pytest.fixture
def address(servicer: Unwilling) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_CatalogServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_an_unavailable_server_is_tried_again(address: str, servicer: Unwilling) -> None:
    servicer.failures = 2
    with Client(address) as client:
        assert client.get_item("a").item_id == "a"
    assert servicer.calls == 3


def test_trying_again_ends_after_four_attempts(address: str, servicer: Unwilling) -> None:
    servicer.failures = 100
    with Client(address) as client, pytest.raises(ShortlistError) as failed:
        client.get_item("a")
    assert failed.value.code == Code.UNAVAILABLE
    assert servicer.calls == 4


@pytest.mark.parametrize(
    "code", [Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.INVALID_ARGUMENT, Code.DEADLINE_EXCEEDED]
)
def test_other_failures_are_not_tried_again(
    address: str, servicer: Unwilling, code: grpc.StatusCode
) -> None:
    servicer.failures, servicer.code = 1, code
    with Client(address) as client, pytest.raises(ShortlistError) as failed:
        client.get_item("a")
    assert (failed.value.code, failed.value.message) == (code, "not now")
    assert (failed.value.reason, failed.value.field_violations) == ("", ())
    assert servicer.calls == 1


@pytest.mark.parametrize("of_the_call", [True, False])
def test_every_call_has_a_deadline(address: str, servicer: Unwilling, of_the_call: bool) -> None:
    servicer.seconds = 0.5
    default, given = (60.0, 0.05) if of_the_call else (0.05, None)
    with Client(address, timeout_seconds=default) as client, pytest.raises(ShortlistError) as late:
        client.get_item("a", timeout_seconds=given)
    assert late.value.code == Code.DEADLINE_EXCEEDED


CALLS: dict[str, Callable[[Client], object]] = {
    "search": lambda client: client.search("q"),
    "retrieve": lambda client: client.retrieve("q"),
    "retrieve by vector": lambda client: client.retrieve([1.0]),
    "embed": lambda client: client.embed(["q", Item(title="t")]),
    "rerank": lambda client: client.rerank("q", ["a", Item(item_id="b", title="t")]),
    "batch_get_items": lambda client: client.batch_get_items(["a"]),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_method_surfaces_errors_as_ours(address: str, name: str) -> None:
    with Client(address) as client, pytest.raises(ShortlistError) as failed:
        CALLS[name](client)
    assert failed.value.code == Code.UNIMPLEMENTED
    assert isinstance(failed.value.__cause__, grpc.RpcError)


def test_half_given_certificates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Tls\.cert and Tls\.key"):
        Client("localhost:1", tls=Tls(cert=tmp_path / "cert.pem"))
