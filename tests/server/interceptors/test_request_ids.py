"""The request id of a call, in the call's metadata and in the log."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from search.engine import Engine
from search.request import SearchRequest
from search.result import SearchResult
from server.config import ServerConfig
from shortlist.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)
from shortlist.v1.item_pb2 import Item
from tests.timing import eventually

Serving = Callable[..., AbstractContextManager[Any]]
NAME = ("x-request-id", "gateway-7/a.b:c")
QUESTION = search_service_pb2.SearchRequest(query="usb c charger", page_size=1)
SECONDS = 30


@pytest.fixture(scope="module")
def server(
    config: ServerConfig, serving: Serving, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server that accepts writes and has an AdminService."""
    state = tmp_path_factory.mktemp("state")
    with serving(replace(config, state=state, admin_port=0)) as running:
        yield running


@pytest.fixture
def channel(server: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def search(channel: grpc.Channel, *metadata: tuple[str, str], page_size: int = 1) -> grpc.Call:
    """Call Search, and return the finished call."""
    request = search_service_pb2.SearchRequest(query="usb c charger", page_size=page_size)
    method = search_service_pb2_grpc.SearchServiceStub(channel).Search
    try:
        return method.with_call(request, timeout=SECONDS, metadata=metadata)[1]
    except grpc.RpcError as error:
        return error  # type: ignore[return-value]  # the errors of stubs are calls


def test_an_answer_begins_with_the_request_id(channel: grpc.Channel) -> None:
    assert NAME in search(channel, NAME).initial_metadata()


def test_a_stream_begins_with_the_request_id(channel: grpc.Channel) -> None:
    request = search_service_pb2.StreamSearchRequest(search=QUESTION)
    stub = search_service_pb2_grpc.SearchServiceStub(channel)
    answers = stub.StreamSearch(request, timeout=SECONDS, metadata=[NAME])
    assert len(list(answers)) == 2
    assert NAME in answers.initial_metadata()


@pytest.mark.parametrize("writes", [0, 2])
def test_a_stream_of_writes_has_the_request_id_even_if_empty(
    channel: grpc.Channel, writes: int
) -> None:
    requests = [
        catalog_service_pb2.UpsertItemsRequest(
            request_id=f"w-{n}", item=Item(item_id=f"w-{n}", title="Lamp")
        )
        for n in range(writes)
    ]
    stub = catalog_service_pb2_grpc.CatalogServiceStub(channel)
    answers = stub.UpsertItems(iter(requests), timeout=SECONDS, metadata=[NAME])
    assert len(list(answers)) == writes
    assert NAME in answers.initial_metadata()


def test_admin_calls_have_the_request_id(server: Any) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.service.admin_port}") as channel:
        method = admin_service_pb2_grpc.AdminServiceStub(channel).GetStatus
        request = admin_service_pb2.GetStatusRequest()
        _, call = method.with_call(request, timeout=SECONDS, metadata=[NAME])
    assert NAME in call.initial_metadata()


def test_an_error_has_the_request_id_in_its_trailing_metadata(
    channel: grpc.Channel,
) -> None:
    """Initial metadata begin an answer, and gRPC does not retry a call whose answer has begun."""
    failed = search(channel, NAME, page_size=-1)
    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert NAME in failed.trailing_metadata()
    assert NAME not in failed.initial_metadata()


def test_a_call_refused_for_its_token_has_the_request_id(
    config: ServerConfig, serving: Serving, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"read: {'0' * 64}\n")
    tokens.chmod(0o600)
    with (
        serving(replace(config, tokens=tokens)) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        failed = search(channel, NAME)
    assert failed.code() is grpc.StatusCode.UNAUTHENTICATED
    assert NAME in failed.trailing_metadata()


@pytest.mark.parametrize("given", [(), (("x-request-id", "two words"),)])
def test_a_call_without_a_valid_request_id_gets_a_new_one(
    channel: grpc.Channel, given: tuple[tuple[str, str], ...]
) -> None:
    told = dict(search(channel, *given).initial_metadata())
    assert re.fullmatch("[0-9a-f]{32}", told["x-request-id"])


def test_the_log_names_the_bundle_that_answered_not_its_successor(
    config: ServerConfig, recall_bundle: Path, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server.access")
    other = replace(config, admin_port=0, bundle_root=recall_bundle.parent)
    loaded: list[str] = []

    class Overtaken(Engine):
        """An engine that another bundle replaces during a search."""

        def search(self, request: SearchRequest, *given: Any, **options: Any) -> SearchResult:
            result = super().search(request, *given, **options)
            loaded.append(load(server, recall_bundle))
            return result

    with serving(other) as server, grpc.insecure_channel(server.address) as channel:
        with server.answering_with(Overtaken) as answering:
            search(channel, NAME)
        [record] = eventually(lambda: named(caplog, NAME[1]))
    assert record["bundle"] == answering.bundle_id
    [successor] = loaded
    assert successor != answering.bundle_id


def load(server: Any, directory: Path) -> str:
    """Make a server load a bundle, and return the bundle's id."""
    with grpc.insecure_channel(f"127.0.0.1:{server.service.admin_port}") as channel:
        stub = admin_service_pb2_grpc.AdminServiceStub(channel)
        request = admin_service_pb2.LoadBundleRequest(path=str(directory))
        return str(stub.LoadBundle(request, timeout=SECONDS).bundle_id)


def named(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the log fields of all calls with this request id."""
    fields = [vars(record).get("fields", {}) for record in caplog.records]
    return [known for known in fields if known.get("request_id") == name]
