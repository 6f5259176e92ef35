"""Similar items, item fields, pages across a change of bundles, and answers in two parts."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from search.config import EngineConfig
from search.engine import Engine
from search.request import SearchRequest, SimilarItemsRequest
from search.result import Degradation, SearchResult
from search.runtime.batching import current_context
from server.config import ServerConfig
from server.convert import search as search_messages
from server.rpc.streaming import parts_of
from server.worker_pool import WorkerPool
from shortlist import filters
from shortlist.client import Client, ShortlistError
from shortlist.v1 import coverage_pb2, search_service_pb2
from tests.server.conftest import Running
from tests.timing import SOON, eventually, turn

QUERY = "usb c charger"
RECALLED = search_service_pb2.SEARCH_PHASE_RECALLED
RERANKED = search_service_pb2.SEARCH_PHASE_RERANKED

Serving = Callable[[ServerConfig], AbstractContextManager[Running]]


def error_of(call: object, *arguments: object, **named: object) -> ShortlistError:
    assert callable(call)
    with pytest.raises(ShortlistError) as failed:
        call(*arguments, **named)
    return failed.value


# ---- StreamSearch


def test_a_streamed_search_answers_with_both_stages_in_turn(client: Client) -> None:
    first, last = client.stream_search(QUERY, page_size=7)
    assert [(first.phase, first.last), (last.phase, last.last)] == [
        (RECALLED, False),
        (RERANKED, True),
    ]
    recall = client.search(QUERY, page_size=7, rerank_depth=0)
    assert list(first.search.results) == list(recall.results)
    assert first.search.next_page_token == ""
    assert [stage.name for stage in first.search.stages] == ["encode", "recall"]
    whole = client.search(QUERY, page_size=7)
    assert list(last.search.results) == list(whole.results)
    assert last.search.next_page_token == whole.next_page_token != ""
    assert first.search.bundle_id == last.search.bundle_id == whole.bundle_id


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (QUERY, {"rerank_depth": 0}),
        ("", {"filter": filters.equals("brand", "Voltix")}),
        (QUERY, {"filter": filters.equals("brand", "nobody")}),
    ],
    ids=["depth 0", "browsing", "nothing recalled"],
)
def test_where_nothing_is_reranked_there_is_one_answer(
    client: Client, query: str, wanted: dict[str, Any]
) -> None:
    [only] = client.stream_search(query, **wanted)
    assert (only.phase, only.last) == (RECALLED, True)
    assert only.search.coverage == coverage_pb2.Coverage()


@pytest.mark.parametrize(
    ("query", "wanted", "field"),
    [
        ("", {}, "search.query"),
        (QUERY, {"page_size": -1}, "search.page_size"),
        (QUERY, {"page_token": "x"}, "search.page_token"),
        (QUERY, {"filter": filters.equals("size", "1")}, "search.filter.equals"),
    ],
    ids=["query", "size", "token", "filter"],
)
def test_a_streamed_search_refuses_what_a_search_does(
    client: Client, query: str, wanted: dict[str, Any], field: str
) -> None:
    error = error_of(lambda: list(client.stream_search(query, **wanted)))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.field_violations[0].field.startswith(field)
    assert error.message.startswith(error.field_violations[0].field)


def test_an_answer_in_parts_that_nobody_waits_for_is_dropped() -> None:
    """The test cancels the iteration between two parts, as gRPC does when a client cancels."""
    worker, dropped = WorkerPool(queue_size=1), threading.Event()

    def work(hand_out: Callable[[int], None]) -> int:
        hand_out(1)
        caller = current_context()
        assert caller is not None
        eventually(lambda: caller.cancelled)
        dropped.set()
        return 2

    async def scenario() -> list[tuple[int, bool]]:
        parts = parts_of(worker, work, None)
        first = await anext(parts)
        task = asyncio.ensure_future(anext(parts))
        await turn()
        task.cancel()
        await asyncio.wait([task])
        return [first]

    assert asyncio.run(scenario()) == [(1, False)]
    assert dropped.wait(SOON)
    worker.close()


def test_parts_come_in_order_and_an_error_after_them() -> None:
    worker = WorkerPool(queue_size=1)

    def work(hand_out: Callable[[int], None]) -> int:
        hand_out(1)
        hand_out(2)
        raise KeyError("x")

    async def scenario() -> list[tuple[int, bool]]:
        parts = parts_of(worker, work, None)
        seen = [await anext(parts), await anext(parts)]
        with pytest.raises(KeyError):
            await anext(parts)
        return seen

    assert asyncio.run(scenario()) == [(1, False), (2, False)]
    worker.close()


# ---- SimilarItems


def test_similar_items_are_those_of_the_engine(client: Client, engine: Engine) -> None:
    item_id = engine.store.ids[3]
    response = client.similar_items(item_id, page_size=6, item_fields=["title"])
    expected = engine.similar(SimilarItemsRequest(item_id, page_size=6))
    assert [r.item_id for r in response.results] == [hit.item_id for hit in expected.hits]
    for result, hit in zip(response.results, expected.hits, strict=True):
        assert result.score == pytest.approx(hit.score, abs=1e-5)
        assert result.item.title == engine.store.item(engine.store.row(hit.item_id)).title
        assert [field.name for field, _ in result.item.ListFields()] == ["title"]
    assert response.bundle_id == engine.bundle_id
    assert [stage.name for stage in response.stages] == ["recall"]
    assert len(client.similar_items(item_id).results) == 10


def test_an_unknown_item_has_no_similar_ones(client: Client) -> None:
    error = error_of(client.similar_items, "nobody")
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_ITEM")
    assert error.resources == ("nobody",)
    empty = error_of(client.similar_items, "")
    assert empty.field_violations[0].field == "item_id"


# ---- fields


def test_only_the_fields_asked_for_come_back(client: Client) -> None:
    whole = client.search(QUERY).results
    some = client.search(QUERY, item_fields=["title", "attributes"]).results
    for result, full in zip(some, whole, strict=True):
        assert result.item_id == full.item_id
        names = {field.name for field, _ in result.item.ListFields()}
        assert names == {"title", "attributes"}
        assert result.item.title == full.item.title
    assert client.search(QUERY, item_fields=["title", "*"]).results[0].item == whole[0].item


@pytest.mark.parametrize("path", ["colour", "attributes.colour", "", "item_id,title"])
def test_a_path_that_is_no_field_is_refused_by_its_place(client: Client, path: str) -> None:
    error = error_of(client.search, QUERY, item_fields=["title", path])
    assert error.field_violations[0].field == "item_fields.paths[1]"


# ---- deadlines


def test_an_answer_says_what_it_left_out_to_be_in_time(
    config: ServerConfig, serving: Serving
) -> None:
    """A batch of the reranker is estimated to take a minute, too long for most deadlines here."""
    config = replace(config, engine=EngineConfig(cache_megabytes=0))
    with serving(config) as running, Client(running.address, timeout_seconds=30) as client:
        assert running.service.bundles is not None
        engine_handle = running.service.bundles.engine_handle
        assert engine_handle.engine.models.pairs is not None
        forward = engine_handle.engine.models.pairs.forward
        for shape in forward.shapes:
            for _ in range(60):
                forward.measured(shape, 60.0)
        skipped = client.search(QUERY)
        assert list(skipped.coverage.degradations) == [coverage_pb2.DEGRADATION_RERANK_SKIPPED]
        assert (skipped.reranked_count, skipped.coverage.rerank_target_count) == (0, 48)
        assert [stage.name for stage in skipped.stages][:2] == ["encode", "recall"]
        behind = client.search(QUERY, page_token=skipped.next_page_token, timeout_seconds=1000)
        assert list(behind.coverage.degradations) == [coverage_pb2.DEGRADATION_RERANK_SKIPPED]
        first, last = client.stream_search(QUERY)
        assert [first.last, last.last] == [False, True]
        assert list(first.search.results) == list(last.search.results) == list(skipped.results)
        assert last.phase == RECALLED
        assert list(last.search.coverage.degradations) == list(skipped.coverage.degradations)
        whole = client.search(QUERY, timeout_seconds=1000)
        assert list(whole.coverage.degradations) == []
        assert whole.reranked_count == whole.coverage.rerank_target_count == 48


# ---- pages


def test_a_page_token_of_a_bundle_swapped_out_has_expired(
    config: ServerConfig, serving: Serving, recall_bundle: Path
) -> None:
    with serving(config) as running, Client(running.address, timeout_seconds=30) as client:
        page = client.search(QUERY, page_size=5)
        assert running.service.bundles is not None
        engine_handle = running.service.bundles.engine_handle
        before = engine_handle.swap(Engine.load(recall_bundle))
        expired = error_of(client.search, QUERY, page_token=page.next_page_token)
        assert expired.reason == "PAGE_TOKEN_EXPIRED"
        assert expired.code == grpc.StatusCode.INVALID_ARGUMENT
        other = error_of(client.search, "hdmi", page_token=page.next_page_token)
        assert other.reason == "PAGE_TOKEN_MISMATCH"
        engine_handle.swap(before)
        assert client.search(QUERY, page_token=page.next_page_token).results[0].rank == 6


@pytest.mark.parametrize(
    ("reranked", "kind"),
    [(7, Degradation.RERANK_SHORTENED), (0, Degradation.RERANK_SKIPPED)],
    ids=["shortened", "skipped"],
)
def test_pages_behind_one_reranked_less_are_reranked_alike_and_say_so(
    engine: Engine, reranked: int, kind: Degradation
) -> None:
    def request_of(page_token: str = "") -> SearchRequest:
        message = search_service_pb2.SearchRequest(query=QUERY, page_token=page_token)
        return search_messages.search_request(message, engine.manifest, None)

    def token_after(result: SearchResult) -> str:
        response = search_messages.search_response(request_of(), result, engine.manifest)
        return response.next_page_token

    assert request_of().rerank_limit is None
    short = engine.search(SearchRequest(QUERY, rerank_depth=reranked))
    later = request_of(token_after(replace(short, degradations=(kind,))))
    assert (later.offset, later.rerank_limit) == (10, reranked)
    assert engine.search(later).degradations == (kind,)
    whole = engine.search(SearchRequest(QUERY))
    assert whole.degradations == ()
    assert request_of(token_after(whole)).rerank_limit is None
