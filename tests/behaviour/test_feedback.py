"""Feedback: the log, the counters and the histories together, before and after a restart."""

import gc
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest

from base.errors import InputError, RequestError
from behaviour import counters
from behaviour.config import CounterConfig, FeedbackConfig
from behaviour.events import DAY, MAX_EARLY
from behaviour.feedback import Feedback
from behaviour.log.event_log import EventLog
from behaviour.log.format import copied
from behaviour.log.writer import ClosedLogError
from tests.behaviour.examples import HOUR, MICROSECONDS, NOW, bytes_of, event, random_events
from tests.timing import Clock, eventually

ITEMS = [f"item{n}" for n in range(6)]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def feedback(tmp_path: Path, clock: Clock) -> Iterator[Feedback]:
    feedback = Feedback(EventLog.open(tmp_path), FeedbackConfig(gather_seconds=0.0), clock)
    yield feedback
    feedback.close()


def record(feedback: Feedback, *events):
    future = feedback.record(events)
    assert future is not None
    return future.result()


def state_of(feedback: Feedback):
    """Return all counters and histories of the people of `random_events`."""
    people = [(f"user{n}", None) for n in range(4)] + [(None, f"session{n}") for n in range(8)]
    return (
        feedback.counters.items(ITEMS).types,
        feedback.counters.items(ITEMS).examined,
        feedback.counters.pairs("query 1", ITEMS).types,
        [feedback.histories.of(*person) for person in people],
    )


def assert_same(one, other) -> None:
    for left, right in zip(one[:-1], other[:-1], strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)
    assert one[-1] == other[-1]


def texts_within(root: object) -> list[str]:
    """Return all texts that an object holds, and those in the caches of its modules."""
    caches = [value for value in vars(counters).values() if hasattr(value, "cache_info")]
    assert caches
    seen: dict[int, object] = {}
    waiting = [root, *caches]
    while waiting:
        value = waiting.pop()
        if id(value) not in seen and not isinstance(value, type | ModuleType | FunctionType):
            seen[id(value)] = value
            waiting += gc.get_referents(value)
    return [value for value in seen.values() if isinstance(value, str)]


def test_an_acknowledged_event_is_counted_and_in_the_history(feedback: Feedback):
    outcome = record(feedback, event("a", user_id="u"))
    assert (outcome.accepted, feedback.sequence) == (1, 1)
    assert [past.item_id for past in feedback.histories.of("u")] == ["lamp"]
    assert feedback.counters.items(["lamp"]).of("view") == pytest.approx(1)
    assert record(feedback, event("a", user_id="u")).duplicates == 1
    assert feedback.counters.items(["lamp"]).of("view") == pytest.approx(1)
    assert len(feedback.histories.of("u")) == 1


def test_a_restart_counts_the_log_again_with_the_same_result(
    feedback: Feedback, tmp_path: Path, clock: Clock
):
    for part in range(3):
        record(feedback, *random_events(part, 200))
        feedback.join_session(f"session{part}", "user0").result()
        record(feedback, *random_events(10 + part, 200))
    feedback.opt_out("user3").result()
    feedback.erase_user("user2").result()
    feedback.counters.refresh()
    before = state_of(feedback)
    feedback.close()
    again = Feedback(EventLog.open(tmp_path), None, clock)
    assert_same(before, state_of(again))
    assert again.histories.of("user0") == again.histories.of(None, "session1") != ()
    again.close()


def test_an_erased_user_is_gone_and_the_rest_is_as_without_the_user(
    feedback: Feedback, tmp_path: Path, clock: Clock
):
    mine = [
        event(f"m{n}", "click", f"item{n % 6}", user_id="ada-l", query="query 1") for n in range(50)
    ]
    mine += [event("s", session_id="ada-s", query="gift for ada-l")]
    others = list(random_events(0, 300))
    record(feedback, *mine, *others)
    feedback.join_session("ada-s", "ada-l").result()
    assert any("ada-" in text for text in texts_within(feedback))
    erasure = feedback.erase_user("ada-l").result()
    assert (erasure.events, erasure.sessions) == (51, 1)
    assert erasure.scanned_bytes > 0
    assert b"ada-" not in bytes_of(tmp_path)
    assert feedback.histories.of("ada-l", "ada-s") == ()
    assert not any("ada-" in text for text in texts_within(feedback))
    (tmp_path / "other").mkdir()
    without = Feedback(EventLog.open(tmp_path / "other"), None, clock)
    record(without, *others)
    feedback.counters.refresh()
    without.counters.refresh()
    mine_now, theirs = state_of(feedback), state_of(without)
    for left, right in zip(mine_now[:-1], theirs[:-1], strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)
    names = [[past._replace(sequence=0) for past in history] for history in mine_now[-1]]
    assert names == [[past._replace(sequence=0) for past in history] for history in theirs[-1]]
    without.close()
    assert record(feedback, event("later", user_id="ada-l")).accepted == 1  # no opt-out


def test_a_user_who_opted_out_has_no_history_but_may_come_back(feedback: Feedback):
    record(feedback, event("a", user_id="u"), event("s", session_id="s"))
    feedback.opt_out("u").result()
    assert feedback.has_opted_out("u")
    assert feedback.histories.of("u") == ()
    assert feedback.counters.items(["lamp"]).of("view") == pytest.approx(2)
    assert record(feedback, event("b", user_id="u")).dropped == 1
    feedback.join_session("s", "u").result()
    assert feedback.histories.of("u", "s") == ()
    feedback.opt_out("u", False).result()
    assert record(feedback, event("b", user_id="u")).accepted == 1
    assert len(feedback.histories.of("u")) == 1


def test_the_report_has_outcomes_and_the_age_and_size_of_the_log(
    feedback: Feedback, tmp_path: Path, clock: Clock
):
    assert feedback.report().oldest_event is None
    assert feedback.report().last_append is None
    old, new = (event(name, time=MICROSECONDS - n * DAY) for name, n in (("old", 5), ("new", 2)))
    record(feedback, new, old, event("mine", user_id="u"))
    clock.advance(60)
    record(feedback, old)
    feedback.opt_out("u").result()
    record(feedback, event("mine, too", user_id="u"))
    feedback.count_refused(7)
    report = feedback.report()
    assert report.outcomes == {"recorded": 3, "duplicate": 1, "dropped": 1, "refused": 7}
    assert report.oldest_event == NOW - 5 * 86_400
    assert report.last_append == NOW
    assert report.log_bytes == sum(
        file.stat().st_size for file in (tmp_path / "events").glob("events.sqlite3*")
    )
    feedback.close()
    again = Feedback(EventLog.open(tmp_path), FeedbackConfig(retention_days=3.0), clock)
    assert again.report().oldest_event == NOW - 2 * 86_400
    assert again.report().last_append is None
    again.close()


def test_an_erased_user_s_event_is_not_the_oldest(feedback: Feedback):
    record(feedback, event("a"), event("mine", user_id="u", time=MICROSECONDS - 9 * DAY))
    feedback.erase_user("u").result()
    assert feedback.report().oldest_event == NOW


def test_what_an_opt_out_forgot_stays_forgotten_after_an_opt_in_and_a_restart(
    feedback: Feedback, tmp_path: Path, clock: Clock
):
    def people(feedback: Feedback):
        return (
            [past.item_id for past in feedback.histories.of("u")],
            [past.item_id for past in feedback.histories.of(None, "joined")],
            [past.item_id for past in feedback.histories.of(None, "joined late")],
            feedback.counters.items(["lamp", "vase"]).of("view").tolist(),
        )

    record(feedback, event("a", user_id="u"), event("b", session_id="joined"))
    feedback.join_session("joined", "u").result()
    record(feedback, event("c", session_id="joined late"))
    feedback.opt_out("u").result()
    feedback.opt_out("u", False).result()
    record(feedback, event("d", item_id="vase", session_id="joined"))
    record(feedback, event("e", item_id="vase", session_id="joined late"))
    feedback.opt_out("u", False).result()  # it was in already: nothing is forgotten
    for _ in range(2):  # the second call changes nothing
        feedback.join_session("joined late", "u").result()
    with copied(tmp_path) as stored:
        assert [each.user_id for each in stored] == [None, None, None, "u", "u"]
    vases = ["vase", "vase"]
    counts = [pytest.approx(3), pytest.approx(2)]
    assert people(feedback) == (vases, vases, vases, counts)
    feedback.close()
    again = Feedback(EventLog.open(tmp_path), None, clock)
    assert people(again) == (vases, vases, vases, counts)
    again.close()


def test_a_session_of_another_user_cannot_be_joined(feedback: Feedback):
    feedback.join_session("s", "u").result()
    with pytest.raises(RequestError, match="session_id: was joined to another user"):
        feedback.join_session("s", "v").result()
    record(feedback, event("a", session_id="s"))
    assert len(feedback.histories.of("u")) == 1
    assert feedback.histories.of("v") == ()


@pytest.mark.parametrize("user_id", ["", " ", "u" * 129, "\ud800"])
def test_an_id_that_no_event_can_have_is_refused(feedback: Feedback, user_id: str):
    for call in (feedback.erase_user, feedback.opt_out, lambda u: feedback.join_session("s", u)):
        with pytest.raises(RequestError, match="user_id"):
            call(user_id)
    with pytest.raises(RequestError, match="session_id"):
        feedback.join_session(user_id, "u")


def test_events_of_the_future_are_refused_except_for_fast_clocks(feedback: Feedback, clock: Clock):
    assert record(feedback, event("a", time=MICROSECONDS + MAX_EARLY)).accepted == 1
    with pytest.raises(RequestError, match=r"events\[0\].time: is in the future"):
        record(feedback, event("b", time=MICROSECONDS + MAX_EARLY + 1))
    clock.advance(1)
    assert record(feedback, event("b", time=MICROSECONDS + MAX_EARLY + 1)).accepted == 1


def test_events_expire_while_the_server_runs_and_at_its_start(tmp_path: Path, clock: Clock):
    config = FeedbackConfig(retention_days=10.0, gather_seconds=0.0)
    feedback = Feedback(EventLog.open(tmp_path), config, clock, clock)
    old = event("old", user_id="u", time=MICROSECONDS - 9 * DAY)
    new = event("new", user_id="u", item_id="vase")
    older = event("older", time=MICROSECONDS - 11 * DAY)
    assert record(feedback, old, new, older).dropped == 1
    clock.advance(2 * 86_400)
    feedback.expire()
    assert [past.item_id for past in feedback.histories.of("u")] == ["vase"]
    assert record(feedback, old).dropped == 1
    feedback.close()
    clock.advance(9 * 86_400)
    feedback = Feedback(EventLog.open(tmp_path), config, clock, clock)
    assert feedback.histories.of("u") == ()
    feedback.close()


def test_a_clock_that_jumps_ahead_makes_no_event_old(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
):
    config, steady = FeedbackConfig(retention_days=10.0, gather_seconds=0.0), Clock()
    feedback = Feedback(EventLog.open(tmp_path), config, clock, steady)
    for days in range(8):
        record(feedback, event(f"{days}", user_id="u", time=MICROSECONDS - days * DAY))

    def pass_days(days: float) -> list[str]:
        for time in (clock, steady):
            time.advance(days * 86_400)
        feedback.expire()
        return [past.item_id for past in feedback.histories.of("u")]

    clock.advance(730 * 86_400)
    assert len(pass_days(0.5)) == 8
    assert "the clock was set ahead by 730.0 days" in caplog.text
    assert record(feedback, event("late", user_id="u", time=MICROSECONDS)).accepted == 1
    clock.advance(-730 * 86_400)
    assert len(pass_days(0.5)) == 9
    caplog.clear()
    assert len(pass_days(3.5)) == 7  # the events of 6 and 7 days before are too old
    assert caplog.text == ""
    feedback.close()


def test_what_follows_from_the_counters_is_computed_regularly(tmp_path: Path, clock: Clock):
    config = FeedbackConfig(refresh_seconds=0.01, popular_seconds=0.01, gather_seconds=0.0)
    feedback = Feedback(EventLog.open(tmp_path), config, clock)
    prior = feedback.counters.examination[1]
    shown = [event(f"i{n}", "impression", query="q", position=1 + n % 2) for n in range(200)]
    clicked = [event(f"c{n}", "click", query="q", position=1 + n % 2) for n in range(100)]
    record(feedback, *shown, *clicked)
    eventually(lambda: feedback.counters.examination[1] > 1.5 * prior)
    eventually(lambda: [item for item, _ in feedback.counters.popular] == ["lamp"])
    feedback.close()


def test_a_closed_log_takes_no_events_and_finishes_those_that_wait(tmp_path: Path):
    feedback = Feedback.open(tmp_path)
    futures = [feedback.record([event(str(n))]) for n in range(100)]
    feedback.close()
    feedback.close()
    assert [future and future.result().accepted for future in futures] == [1] * 100
    for call in (lambda: feedback.record([event("b")]), lambda: feedback.erase_user("u")):
        with pytest.raises(ClosedLogError):
            call()


def test_a_failure_of_the_disk_is_an_error_of_each_call_and_does_not_end_the_writer(
    feedback: Feedback, tmp_path: Path
):
    record(feedback, event("a"))
    file = tmp_path / "events" / "events.sqlite3"
    file.rename(tmp_path / "away")
    with pytest.raises(InputError, match="was removed while it was in use"):
        record(feedback, event("b"))
    (tmp_path / "away").rename(file)
    assert record(feedback, event("b")).sequence == 2


def test_events_that_are_durable_although_their_call_failed_count_once(
    feedback: Feedback, tmp_path: Path, clock: Clock
):
    mark, away = tmp_path / "events" / "events.mark", tmp_path / "away"

    def take_away(statement: str) -> None:
        if statement == "COMMIT":
            mark.rename(away)

    connection = feedback._log._log.connection
    connection.set_trace_callback(take_away)
    with pytest.raises(InputError, match="was removed while it was in use"):
        record(feedback, event("a", user_id="u"))
    connection.set_trace_callback(None)
    assert feedback.histories.of("u") == ()
    away.rename(mark)
    outcome = record(feedback, event("a", user_id="u"), event("b", user_id="u"))
    assert (outcome.accepted, outcome.duplicates, outcome.sequence) == (1, 1, 2)
    assert len(feedback.histories.of("u")) == 2
    assert feedback.counters.items(["lamp"]).of("view") == pytest.approx(2)
    feedback.close()
    again = Feedback(EventLog.open(tmp_path), None, clock)
    assert len(again.histories.of("u")) == 2
    again.close()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"history_events": 0}, "history_events is 0; give 1 or more"),
        ({"retention_days": -1.0}, "retention_days is -1.0; give 0 or more"),
        ({"refresh_seconds": 0.0}, "refresh_seconds is 0.0; give more than 0"),
        ({"popular_seconds": 0.0}, "popular_seconds is 0.0; give more than 0"),
        ({"counters": CounterConfig(max_items=3)}, "counters.max_items is 3; give 4 or more"),
        (
            {"counters": CounterConfig(half_life_days=0.0)},
            "counters.half_life_days is 0.0; give more than 0",
        ),
    ],
)
def test_a_setting_that_is_too_small_is_refused(change, problem):
    with pytest.raises(InputError, match=f"^feedback: {problem}$"):
        FeedbackConfig(**change)


def test_hours_and_days_are_in_microseconds():
    assert 24 * HOUR == DAY
