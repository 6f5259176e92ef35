"""Errors that repeat, and what the log has of them."""

import logging

import pytest

from base.error_logging import Occurrences, RepeatedErrors, operator_text
from base.errors import InputError
from tests.timing import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def errors(clock: Clock) -> RepeatedErrors:
    return RepeatedErrors(logging.getLogger("tests.errors"), Occurrences(60.0, clock))


def test_the_first_event_is_reported_at_once_and_later_ones_once_per_interval(clock):
    events = Occurrences(60.0, clock)
    assert events.count() == 1
    clock.advance(59.9)
    assert [events.count(), events.count()] == [0, 0]
    clock.advance(0.1)
    assert events.count() == 3
    assert events.count() == 0
    clock.advance(60.0)
    assert events.count() == 2


def test_events_of_another_kind_are_counted_apart(clock):
    events = Occurrences(60.0, clock)
    assert [events.count("a"), events.count("a"), events.count("b"), events.count("a")] == [
        1,
        0,
        1,
        0,
    ]
    clock.advance(60.0)
    assert [events.count("a"), events.count("b")] == [3, 1]


def test_a_repeated_error_is_logged_once_a_minute_with_the_number_of_others(errors, clock, caplog):
    for _ in range(5):
        errors.log(OSError(28, "No space left", "/state"), "nothing written")
    clock.advance(60.0)
    errors.log(OSError(28, "No space left", "/state"), "nothing written")
    assert [record.getMessage() for record in caplog.records] == [
        "nothing written: reason=\"[Errno 28] No space left: '/state'\"",
        "nothing written: not_logged=4 reason=\"[Errno 28] No space left: '/state'\"",
    ]
    assert {record.levelname for record in caplog.records} == {"ERROR"}


def test_an_error_of_another_type_or_of_other_work_is_logged_at_once(errors, caplog):
    errors.log(InputError("/state: is full"), "nothing written")
    errors.log(OSError("is gone"), "nothing written")
    errors.log(InputError("/state: is full"), "nothing built")
    assert [record.getMessage() for record in caplog.records] == [
        "nothing written: reason='/state: is full'",
        "nothing written: reason='is gone'",
        "nothing built: reason='/state: is full'",
    ]


def test_an_unexpected_error_is_logged_with_its_place_and_without_its_text(errors, caplog):
    unexpected = ValueError("quotes an item")

    def fail() -> None:
        raise unexpected

    caplog.set_level(logging.INFO)
    with pytest.raises(ValueError, match="an item") as caught:
        fail()
    errors.log(caught.value, "nothing written")
    assert operator_text(caught.value) == "ValueError; the log says where"
    assert "nothing written: error=ValueError at" in caplog.text
    assert "in fail" in caplog.text
    assert "quotes an item" not in caplog.text
