"""Failing calls whose requests contain private words."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from search.engine import Engine
from shortlist.client import Client, ShortlistError
from shortlist.v1 import search_service_pb2_grpc

SOON = 10.0  # timeout in seconds; only a hang takes longer
QUERY = "zanzibar plumbus charger"
SECRETS = ("zanzibar", "plumbus", "hush-17", "Geheimnis")


def eventually(found: Callable[[], Any]) -> Any:
    """Call a function until its result is true, because the server records a call after its end."""
    until = time.monotonic() + SOON
    while not (result := found()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return result


@contextmanager
def stub(address: str) -> Iterator[search_service_pb2_grpc.SearchServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield search_service_pb2_grpc.SearchServiceStub(channel)


def fail(call: Callable[[], object]) -> ShortlistError:
    with pytest.raises(ShortlistError) as failed:
        call()
    return failed.value


def make_mistakes(client: Client, monkeypatch: pytest.MonkeyPatch) -> ShortlistError:
    """Make calls with private words fail in several ways; return the error of an internal fault."""
    fail(lambda: client.search(QUERY, page_size=-1))
    fail(lambda: client.search(QUERY, page_token="Geheimnis"))
    fail(lambda: client.get_item("hush-17"))
    fail(lambda: client.rerank(QUERY, ["hush-17"]))
    fail(lambda: client.search(QUERY, timeout_seconds=1e-6))

    def broken(self: Engine, query: str, **_: object) -> object:
        raise ValueError(f"cannot search {query}")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "search", broken)
        return fail(lambda: client.search(QUERY))
