"""Both clients, with servers that are slow, overloaded or unavailable."""

import inspect
import itertools
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.status_pb2 import Status

from shortlist.aio import AsyncClient
from shortlist.client import Client, Options, Retry, ShortlistError
from shortlist.events import event
from shortlist.requests import deletion, query_rules, synonyms, upsert
from shortlist.v1.context_pb2 import Person
from shortlist.v1.feedback_service_pb2 import StreamEventsRequest
from shortlist.v1.item_pb2 import Item

Code = grpc.StatusCode


def test_a_call_to_an_unavailable_server_is_retried(make_client, address, servicer) -> None:
    servicer.failures = 2
    with make_client(address) as client:
        assert client.get_item("a").item_id == "a"
    assert servicer.calls == 3


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_retries_end(make_client, address, servicer, attempts: int) -> None:
    servicer.failures = 100
    options = Options(retry=Retry(attempts=attempts))
    with make_client(address, options=options) as client, pytest.raises(ShortlistError) as failed:
        client.get_item("a")
    assert failed.value.code == Code.UNAVAILABLE
    assert servicer.calls == attempts


@pytest.mark.parametrize(
    "code", [Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.INVALID_ARGUMENT, Code.DEADLINE_EXCEEDED]
)
def test_other_failures_are_not_retried(make_client, address, servicer, code) -> None:
    servicer.failures, servicer.code = 1, code
    with make_client(address) as client, pytest.raises(ShortlistError) as failed:
        client.get_item("a")
    assert (failed.value.code, failed.value.message) == (code, "not now")
    assert (failed.value.reason, failed.value.field_violations) == ("", ())
    assert servicer.calls == 1


def test_a_call_to_an_overloaded_server_is_retried_after_the_time_to_wait(
    make_client, address, servicer
) -> None:
    servicer.failures, servicer.code, servicer.retry_seconds = 2, Code.RESOURCE_EXHAUSTED, 0.2
    with make_client(address) as client:
        assert client.get_item("a").item_id == "a"
    waits = [later - earlier for earlier, later in itertools.pairwise(servicer.times)]
    assert len(waits) == 2
    assert min(waits) >= 0.2
    assert len({seen["x-request-id"] for seen in servicer.seen}) == 1


def test_a_pause_beyond_the_deadline_is_not_begun(make_client, address, servicer) -> None:
    servicer.failures, servicer.code, servicer.retry_seconds = 1, Code.RESOURCE_EXHAUSTED, 30.0
    begun = time.monotonic()
    with make_client(address, timeout_seconds=5) as client, pytest.raises(ShortlistError) as busy:
        client.get_item("a")
    assert time.monotonic() - begun < 4
    assert (busy.value.code, busy.value.retry_seconds) == (Code.RESOURCE_EXHAUSTED, 30.0)
    assert servicer.calls == 1


@pytest.mark.parametrize(
    ("retry", "calls"), [(Retry(overloaded=False), 1), (Retry(attempts=1), 1), (Retry(2), 2)]
)
def test_the_caller_chooses_the_number_of_attempts(
    make_client, address, servicer, retry: Retry, calls: int
) -> None:
    servicer.failures, servicer.code, servicer.retry_seconds = 9, Code.RESOURCE_EXHAUSTED, 0.01
    options = Options(retry=retry)
    with make_client(address, options=options) as client, pytest.raises(ShortlistError):
        client.get_item("a")
    assert servicer.calls == calls


def test_a_stream_is_retried_until_its_first_message(make_client, address, servicer) -> None:
    servicer.failures, servicer.code, servicer.retry_seconds = 2, Code.RESOURCE_EXHAUSTED, 0.05
    with make_client(address) as client:
        assert [part.last for part in client.stream_search("q")] == [False, True]
    assert servicer.calls == 3
    assert len({seen["x-request-id"] for seen in servicer.seen}) == 1


def test_a_stream_that_has_begun_is_not_retried(make_client, address, servicer) -> None:
    servicer.failures, servicer.code, servicer.retry_seconds = 1, Code.RESOURCE_EXHAUSTED, 0.05
    servicer.fails_after = 1
    with make_client(address) as client, pytest.raises(ShortlistError) as busy:
        list(client.stream_search("q"))
    assert busy.value.code == Code.RESOURCE_EXHAUSTED
    assert servicer.calls == 1


@pytest.mark.parametrize(
    "details",
    [
        b"\xff\xff\xff",
        Status(
            details=[Packed(type_url="x/google.rpc.ErrorInfo", value=b"\xff")]
        ).SerializeToString(),
    ],
    ids=["no status", "no detail in it"],
)
def test_unreadable_details_are_ignored(make_client, address, servicer, details: bytes) -> None:
    servicer.failures, servicer.code, servicer.details = 1, Code.INTERNAL, details
    with make_client(address) as client, pytest.raises(ShortlistError) as failed:
        client.get_item("a")
    assert (failed.value.code, failed.value.message) == (Code.INTERNAL, "not now")
    assert (failed.value.reason, failed.value.field_violations) == ("", ())


@pytest.mark.parametrize("of_the_call", [True, False])
def test_every_call_has_a_deadline(make_client, address, servicer, of_the_call: bool) -> None:
    servicer.seconds = 0.5
    default, given = (60.0, 0.05) if of_the_call else (0.05, None)
    with (
        make_client(address, timeout_seconds=default) as client,
        pytest.raises(ShortlistError) as late,
    ):
        client.get_item("a", timeout_seconds=given)
    assert late.value.code == Code.DEADLINE_EXCEEDED


def test_attempts_share_one_deadline(make_client, address, servicer) -> None:
    servicer.failures, servicer.code, servicer.retry_seconds = 9, Code.RESOURCE_EXHAUSTED, 0.05
    servicer.seconds = 0.4
    begun = time.monotonic()
    with make_client(address, timeout_seconds=1.0) as client, pytest.raises(ShortlistError):
        client.get_item("a")
    assert time.monotonic() - begun < 2.0
    assert servicer.calls in (2, 3)  # on a slow machine, no time is left for the third attempt


def test_a_request_id_is_sent_and_is_in_the_error(make_client, address, servicer) -> None:
    servicer.failures, servicer.code = 1, Code.INTERNAL
    with make_client(address) as client:
        with pytest.raises(ShortlistError) as failed:
            client.get_item("a", request_id="basket-7")
        assert failed.value.request_id == "basket-7"
        client.get_item("a")
        client.get_item("a")
    ids = [seen["x-request-id"] for seen in servicer.seen]
    assert ids[0] == "basket-7"
    assert len(set(ids)) == 3


CALLS: dict[str, Callable[[Any], object]] = {
    "search": lambda client: client.search("q", page_size=3),
    "stream_search": lambda client: list(client.stream_search("q", page_size=3)),
    "similar_items": lambda client: client.similar_items("a", page_size=3),
    "recommend": lambda client: client.recommend(page_size=3),
    "recommend_similar": lambda client: client.recommend_similar("a", page_size=3),
    "complementary_items": lambda client: client.complementary_items(["a"], page_size=3),
    "get_profile": lambda client: client.get_profile(Person(user_id="u")),
    "get_questions": lambda client: client.get_questions(page_size=3),
    "delete_user": lambda client: client.delete_user("u"),
    "set_opt_out": lambda client: client.set_opt_out("u"),
    "join_session": lambda client: client.join_session("s", "u"),
    "retrieve": lambda client: client.retrieve("q"),
    "retrieve by vector": lambda client: client.retrieve([1.0]),
    "suggest": lambda client: client.suggest("q"),
    "embed": lambda client: client.embed(["q", Item(title="t")]),
    "rerank": lambda client: client.rerank("q", ["a", Item(item_id="b", title="t")]),
    "get_item": lambda client: client.get_item("a"),
    "batch_get_items": lambda client: client.batch_get_items(["a"]),
    "list_items": lambda client: client.list_items(3, item_fields=["title"]),
    "upsert_items": lambda client: list(client.upsert_items([upsert(Item(item_id="a"))])),
    "delete_items": lambda client: list(client.delete_items([deletion("a")])),
    "list_curations": lambda client: client.list_curations(page_size=3),
    "set_curation": lambda client: client.set_curation(synonyms("a, b"), "c", author="Ann"),
    "set_curation of queries": lambda client: client.set_curation(query_rules(["q"])),
    "delete_curation": lambda client: client.delete_curation("a"),
    "undo_curation": lambda client: client.undo_curation("a"),
    "record_events": lambda client: client.record_events([event("view", "a")]),
    "stream_events": lambda client: client.stream_events(
        [StreamEventsRequest(events=[event("view", "a", position=3)])]
    ),
}


def test_every_method_is_called() -> None:
    assert {name.split(" ")[0] for name in CALLS} == methods(Client).keys() - {"__init__", "close"}


@pytest.mark.parametrize("name", CALLS)
def test_every_method_raises_shortlist_errors(make_client, address, servicer, name: str) -> None:
    # A server without the method also answers UNIMPLEMENTED.
    servicer.failures, servicer.code = 1, Code.UNIMPLEMENTED
    with make_client(address) as client, pytest.raises(ShortlistError) as failed:
        CALLS[name](client)
    assert failed.value.code == Code.UNIMPLEMENTED
    assert isinstance(failed.value.__cause__, grpc.RpcError)


def test_an_unknown_field_of_a_request_is_refused(make_client, address) -> None:
    with make_client(address) as client, pytest.raises(ValueError, match="pagesize"):
        client.search("q", pagesize=3)


def methods(kind: type) -> dict[str, inspect.Signature]:
    """Return the signature of each public method of a client."""
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if name == "__init__" or not name.startswith("_")
    }


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    # Streams have different types in both clients: AsyncIterator and Iterator.
    streams = {"stream_search", "upsert_items", "delete_items", "stream_events"}
    sync, asynchronous = (
        {name: signature for name, signature in methods(kind).items() if name not in streams}
        for kind in (Client, AsyncClient)
    )
    assert sync == asynchronous
    assert {name: list(methods(Client)[name].parameters) for name in streams} == {
        name: list(methods(AsyncClient)[name].parameters) for name in streams
    }
