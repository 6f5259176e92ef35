"""Failing calls whose requests contain private words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from search.engine import Engine
from search.request import SearchRequest
from search.result import SearchResult
from shortlist.client import Client, ShortlistError
from shortlist.v1 import search_service_pb2_grpc
from tests.server.conftest import Running

QUERY = "zanzibar plumbus charger"
SECRETS = ("zanzibar", "plumbus", "hush-17", "Geheimnis")


class BrokenEngine(Engine):
    """An engine whose searches fail with the private words of the request."""

    def search(self, request: SearchRequest, *_: Any, **__: Any) -> SearchResult:
        raise ValueError(f"cannot search {request}")


@contextmanager
def stub(address: str) -> Iterator[search_service_pb2_grpc.SearchServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield search_service_pb2_grpc.SearchServiceStub(channel)


def fail(call: Callable[[], object]) -> ShortlistError:
    with pytest.raises(ShortlistError) as failed:
        call()
    return failed.value


def make_mistakes(running: Running, client: Client) -> ShortlistError:
    """Make calls with private words fail in several ways; return the error of an internal fault."""
    fail(lambda: client.search(QUERY, page_size=-1))
    fail(lambda: client.search(QUERY, page_token="Geheimnis"))
    fail(lambda: client.get_item("hush-17"))
    fail(lambda: client.rerank(QUERY, ["hush-17"]))
    fail(lambda: client.search(QUERY, timeout_seconds=1e-6))
    with running.answering_with(BrokenEngine):
        return fail(lambda: client.search(QUERY))
