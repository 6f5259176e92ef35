"""Tokens that are removed or changed while a stream of writes is open."""

import queue
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from server.config import ServerConfig
from shortlist.client import ShortlistError
from shortlist.v1.catalog_service_pb2 import (
    BatchGetItemsRequest,
    UpsertItemsRequest,
    UpsertItemsResponse,
)
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.item_pb2 import Item
from tests.clients.conftest import write_tokens
from tests.server.conftest import Running
from tests.timing import eventually

Serving = Callable[[ServerConfig], AbstractContextManager[Running]]
SECONDS = 30


class Stream:
    """An open stream of writes with the token `writer`."""

    def __init__(self, catalog: CatalogServiceStub) -> None:
        self._requests: queue.Queue[UpsertItemsRequest] = queue.Queue()
        self._answers: Iterator[UpsertItemsResponse] = catalog.UpsertItems(
            iter(self._requests.get, None), timeout=SECONDS, metadata=shown("writer")
        )

    def write(self, item_id: str) -> UpsertItemsResponse:
        item = Item(item_id=item_id, title=f"Thing {item_id}", price=1.0)
        self._requests.put(UpsertItemsRequest(request_id=item_id, item=item))
        return next(self._answers)


def shown(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def missing(catalog: CatalogServiceStub, *item_ids: str) -> list[str]:
    """Return the ids, out of the given ids, that the catalogue does not have."""
    request = BatchGetItemsRequest(item_ids=item_ids)
    response = catalog.BatchGetItems(request, timeout=SECONDS, metadata=shown("reader"))
    return list(response.missing_item_ids)


def is_refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except grpc.RpcError:
        return True
    return False


def start_stream(catalog: CatalogServiceStub) -> None:
    """Start a stream with the token `writer`, and end it without a write."""
    list(catalog.UpsertItems(iter(()), timeout=SECONDS, metadata=shown("writer")))


@pytest.mark.parametrize(
    ("left", "code", "reason"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REQUIRED"),
        ((("read", "writer"),), grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"),
    ],
    ids=["the token is removed", "the token loses its role"],
)
def test_an_open_stream_ends_at_the_next_write_without_the_role(
    config: ServerConfig,
    serving: Serving,
    tmp_path: Path,
    left: tuple[tuple[str, str], ...],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    tokens = tmp_path / "tokens"
    write_tokens(tokens, ("read", "reader"), ("write", "writer"))
    with (
        serving(replace(config, state=tmp_path / "state", tokens=tokens)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        catalog = CatalogServiceStub(channel)
        stream = Stream(catalog)
        assert stream.write("first").sequence == 1
        write_tokens(tokens, ("read", "reader"), ("write", "other"), *left)
        eventually(lambda: is_refused(lambda: start_stream(catalog)))
        with pytest.raises(grpc.RpcError) as refused:
            stream.write("second")
        error = ShortlistError(refused.value)
        assert (error.code, error.reason) == (code, reason)
        # A new item is encoded before it can be read.
        eventually(lambda: not missing(catalog, "first"))
        assert missing(catalog, "first", "second") == ["second"]


def test_an_open_stream_goes_on_while_its_token_keeps_the_role(
    config: ServerConfig, serving: Serving, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    write_tokens(tokens, ("write", "writer"), ("write", "other"))
    with (
        serving(replace(config, state=tmp_path / "state", tokens=tokens)) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        catalog = CatalogServiceStub(channel)
        stream = Stream(catalog)
        assert stream.write("first").sequence == 1
        write_tokens(tokens, ("write", "writer"), ("read", "reader"))
        # The server answers the token `reader` once it has read the new file.
        eventually(lambda: not is_refused(lambda: missing(catalog, "first")))
        assert stream.write("second").sequence == 2
