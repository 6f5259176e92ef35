"""Recording events on a running server."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from base.errors import RequestError
from behaviour.config import FeedbackConfig
from behaviour.events import MAX_EVENTS
from behaviour.feedback import Feedback
from behaviour.log import format as format_
from server.config import ServerConfig
from server.convert.events import event_records
from server.rpc.feedback import FeedbackServicer
from server.worker_pool import OverloadedError
from shortlist.client import Client, Options, ShortlistError
from shortlist.events import event, event_of
from shortlist.v1.event_pb2 import Event
from shortlist.v1.feedback_service_pb2 import RecordEventsRequest, StreamEventsRequest
from tests.behaviour.examples import full_event
from tests.server.auth.token_files import line, write
from tests.server.conftest import Running
from tests.tiny import tiny_items

Serving = Callable[..., AbstractContextManager[Running]]
ITEM = tiny_items()[0].item_id


@pytest.fixture
def state_config(config: ServerConfig, tmp_path: Path) -> ServerConfig:
    return replace(config, state=tmp_path / "state")


@pytest.fixture
def running(state_config: ServerConfig, serving: Serving) -> Iterator[Running]:
    with serving(state_config) as running:
        yield running


def counts(response) -> tuple[int, ...]:
    return (
        response.accepted_count,
        response.duplicate_count,
        response.dropped_count,
        response.unknown_item_count,
        response.sequence,
    )


def test_recorded_events_are_counted_in_histories_and_survive_a_restart(
    state_config: ServerConfig, serving: Serving
) -> None:
    view = event("view", ITEM, user_id="u", event_id="1")
    other = event("click", "nowhere", session_id="s", query="Hdmi  Cable", position=3)
    with serving(state_config) as running, Client(running.address) as client:
        assert counts(client.record_events([view, other])) == (2, 0, 0, 1, 2)
        feedback = running.service.feedback
        assert feedback is not None
        assert [past.item_id for past in feedback.histories.of("u")] == [ITEM]
        [count] = feedback.counters.pairs("hdmi cable", ["nowhere"]).of("click")
        assert count == pytest.approx(1, abs=1e-4)
        assert counts(client.record_events([view])) == (0, 1, 0, 0, 2)
    with serving(state_config) as running, Client(running.address) as client:
        feedback = running.service.feedback
        assert feedback is not None
        assert [past.item_id for past in feedback.histories.of("u")] == [ITEM]
        assert counts(client.record_events([view, event("view", ITEM)])) == (1, 1, 0, 0, 3)
        feedback.opt_out("u").result()
        assert counts(client.record_events([event("view", ITEM, user_id="u")])) == (0, 0, 1, 0, 3)


def test_events_of_a_result_name_its_position_request_and_bundle(
    state_config: ServerConfig, serving: Serving
) -> None:
    visit = {"session_id": "visit", "query": "usb c charger"}
    with serving(state_config) as running, Client(running.address) as client:
        first = client.search("usb c charger", page_size=2, request_id="search-1")
        page = client.search("usb c charger", page_size=2, page_token=first.next_page_token)
        assert first.request_id == "search-1"
        assert page.request_id not in ("", "search-1")
        shown = [event_of("impression", page, result, **visit) for result in page.results]
        clicked = page.results[1]
        client.record_events([*shown, event_of("click", page, clicked, **visit)])
        feedback = running.service.feedback
        assert feedback is not None
        counts = feedback.counters.pairs("usb c charger", [clicked.item_id])
        assert counts.of("click") == pytest.approx(1, abs=1e-4)
        assert counts.of("impression") == pytest.approx(1, abs=1e-4)
        assert counts.examined == pytest.approx(1 / 4, abs=1e-4)  # position 4, before any estimate
    assert state_config.state is not None
    with format_.copied(state_config.state) as events:
        recorded = [stored.event for stored in events]
    assert [(e.type, e.item_id, e.position) for e in recorded] == [
        ("impression", page.results[0].item_id, 3),
        ("impression", clicked.item_id, 4),
        ("click", clicked.item_id, 4),
    ]
    assert {(e.request_id, e.bundle_id) for e in recorded} == {(page.request_id, page.bundle_id)}


def test_a_stream_of_events_is_answered_with_its_sums(running: Running) -> None:
    with Client(running.address, timeout_seconds=60) as client:
        messages = [
            StreamEventsRequest(events=[event("view", ITEM, event_id=f"{n}-{m}") for m in range(3)])
            for n in range(600)
        ]
        messages[7].events.append(event("view", "nowhere", event_id="0-0"))
        assert counts(client.stream_events(messages)) == (1_800, 1, 0, 1, 1_800)
        assert counts(client.stream_events(messages[:2])) == (0, 6, 0, 0, 1_800)
        assert counts(client.stream_events([])) == (0, 0, 0, 0, 0)


def test_an_invalid_event_is_refused_with_its_path_and_nothing_of_its_call_is_recorded(
    running: Running,
) -> None:
    good = event("view", ITEM)
    late = event("view", ITEM, time=datetime.now(UTC) + timedelta(days=2))
    no_type = Event(event_id="a", time=good.time, item_id="i")
    two_seconds = Event(event_id="a", type=good.type, item_id="i", time={"nanos": 2_000_000_000})
    no_time = Event(event_id="a", type=good.type, item_id="i")
    too_many = [event("view", ITEM) for _ in range(MAX_EVENTS + 1)]
    with Client(running.address) as client:
        for events, error in (
            ([good, event("view", ITEM, position=-1)], "events[1].position: is -1; give 1 to"),
            ([good, late], "events[1].time: is in the future"),
            ([good, no_time], "events[1].time: is empty; give a value"),
            ([good, two_seconds], "events[1].time: is no time; give seconds since 1970"),
            ([good, no_type], "events[1].type: is unknown; give impression, view"),
            (too_many, "events: has 1,001 events; give 1 to 1,000"),
            ([], "events: has 0 events; give 1 to 1,000"),
        ):
            with pytest.raises(ShortlistError) as refused:
                client.record_events(events)
            assert refused.value.reason == "INVALID_FIELD"
            assert refused.value.message.startswith(error)
        messages = [
            StreamEventsRequest(events=[good]),
            StreamEventsRequest(events=[event("view", "x"), event("view", "")]),
            StreamEventsRequest(events=[event("view", "y")]),
        ]
        with pytest.raises(ShortlistError) as refused:
            client.stream_events(messages)
        assert refused.value.field_violations[0].field == "messages[1].events[1].item_id"
        assert counts(client.record_events([good])) == (0, 1, 0, 0, 1)
    exported = running.service._metrics.registry.get_sample_value
    of_calls = 2 * 5 + MAX_EVENTS + 1
    for outcome, count in (("recorded", 1), ("duplicate", 1), ("refused", of_calls + 2)):
        assert exported("shortlist_events_total", {"outcome": outcome}) == count
    assert exported("shortlist_event_log_bytes") > 0
    oldest = exported("shortlist_oldest_event_timestamp_seconds")
    assert oldest == pytest.approx(good.time.ToNanoseconds() / 1e9, abs=1e-5)
    assert exported("shortlist_last_event_append_timestamp_seconds") > oldest


def test_a_server_without_a_state_directory_takes_no_events(client: Client) -> None:
    for record in (
        lambda: client.record_events([event("view", ITEM)]),
        lambda: client.stream_events([StreamEventsRequest(events=[event("view", ITEM)])]),
    ):
        with pytest.raises(ShortlistError) as refused:
            record()
        assert refused.value.reason == "READ_ONLY"


def test_every_field_of_a_message_is_read() -> None:
    expected = full_event()
    values = {name: getattr(expected, name) for name in expected.__slots__}
    message = Event(**{**values, "type": "EVENT_TYPE_IMPRESSION", "time": None})
    message.time.FromMicroseconds(expected.time)
    message.time.nanos += 999  # times are kept in microseconds
    assert set(values) == {field.name for field in Event.DESCRIPTOR.fields}
    assert event_records([message]) == [expected]


def test_a_call_with_too_many_events_is_refused_before_its_events_are_converted() -> None:
    with pytest.raises(RequestError, match=r"^events: has 1,001 events; give 1 to 1,000$"):
        event_records([Event()] * 1_001)  # the events have no time


def test_the_log_of_the_server_has_no_ids_of_people_and_items(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    person = {"user_id": "ada-lovelace", "session_id": "ada-session"}
    with Client(running.address) as client:
        client.record_events([event("view", "ada-item", **person)])
        with pytest.raises(ShortlistError):
            client.record_events([event("view", "ada-item", position=-1, **person)])
    feedback = running.service.feedback
    assert feedback is not None
    feedback.erase_user("ada-lovelace").result()
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "RecordEvents" in text
    assert "ada-" not in text


def test_a_call_is_refused_and_a_stream_waits_while_too_many_events_wait(
    running: Running, tmp_path: Path
) -> None:
    assert running.service.bundles is not None
    handle, blocked, pauses = running.service.bundles.engine_handle, threading.Event(), []
    feedback = Feedback.open(tmp_path / "other", FeedbackConfig(queued_events=2))

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        blocked.set()
        await asyncio.wrap_future(waiting)
        del message.events[:]  # the events are not converted again

    message = StreamEventsRequest(events=[event("view", ITEM)] * 2)

    async def stream():
        yield message

    async def record() -> tuple[int, ...]:
        servicer = FeedbackServicer(handle, feedback, sleep)
        with pytest.raises(OverloadedError):
            await servicer.RecordEvents(RecordEventsRequest(events=[event("view", ITEM)] * 2), None)
        return counts(await servicer.StreamEvents(stream(), None))

    try:
        feedback._writer.run(blocked.wait)
        waiting = feedback.record([full_event("1")])
        assert waiting is not None
        assert asyncio.run(record()) == (1, 1, 0, 0, 2)
        assert feedback.report().outcomes["refused"] == 2  # the stream waited
        assert pauses == [0.1]
    finally:
        blocked.set()
        feedback.close()


def test_a_token_needs_the_role_record(
    state_config: ServerConfig, serving: Serving, tmp_path: Path
) -> None:
    file = write(tmp_path / "tokens", line("record", "shop"), line("write", "importer"))
    config = replace(state_config, tokens=file)
    with serving(config) as running:
        in_clear = Options(token_in_clear=True)
        with Client(running.address, token="shop", options=in_clear) as client:
            assert counts(client.record_events([event("view", ITEM)]))[0] == 1
            with pytest.raises(ShortlistError) as refused:
                client.search("hdmi")
            assert refused.value.reason == "ROLE_MISSING"
        with Client(running.address, token="importer", options=in_clear) as client:
            with pytest.raises(ShortlistError) as refused:
                client.stream_events([StreamEventsRequest(events=[event("view", ITEM)])])
            assert refused.value.code == grpc.StatusCode.PERMISSION_DENIED


def test_a_copy_of_the_log_can_be_read_while_the_server_runs(
    running: Running, state_config: ServerConfig
) -> None:
    assert state_config.state is not None
    with Client(running.address) as client:
        client.record_events([event("view", ITEM, event_id="a")])
        assert state_config.state is not None
    with format_.copied(state_config.state) as stored:
        assert [each.event.event_id for each in stored] == ["a"]
