"""The limits of events."""

import math
from dataclasses import replace

import pytest

from base.errors import RequestError
from behaviour.events import MAX_EVENTS, check_events
from catalog.events import EVENT_FIELDS, EVENT_TYPES
from tests.behaviour.examples import MICROSECONDS, event, full_event

GOOD = full_event()
TYPES = ", ".join(EVENT_TYPES)


def error_of(*events) -> str:
    with pytest.raises(RequestError) as refused:
        check_events(events, MICROSECONDS + 1)
    return str(refused.value)


def test_an_event_with_every_field_and_one_with_the_required_fields_are_taken():
    check_events([GOOD, event("e")], MICROSECONDS + 1)


def test_the_record_has_the_fields_of_the_table():
    names = {field.name for field in EVENT_FIELDS}
    assert set(GOOD.__slots__) == names
    assert all(getattr(GOOD, name) not in (None, {}) for name in names)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("event_id", "", "is empty; give a value"),
        ("event_id", " ", "is empty; give a value"),
        ("event_id", "e" * 65, "has 65 characters; give at most 64"),
        ("event_id", "\ud800", "has a lone surrogate (half a character); remove it"),
        ("time", -1, "is before 1970; give the time at which the event happened"),
        ("time", MICROSECONDS + 2, "is in the future; give the time at which the event happened"),
        ("type", "", f"is unknown; give {TYPES}"),
        ("type", "Click", f"is unknown; give {TYPES}"),
        ("item_id", "", "is empty; give a value"),
        ("item_id", "i" * 513, "has 513 characters; give at most 512"),
        ("user_id", "u" * 129, "has 129 characters; give at most 128"),
        ("session_id", "s" * 129, "has 129 characters; give at most 128"),
        ("query", "q" * 2_001, "has 2,001 characters; give at most 2,000"),
        ("position", 0, "is 0; give 1 to 100,000"),
        ("position", 100_001, "is 100,001; give 1 to 100,000"),
        ("request_id", "r" * 129, "has 129 characters; give at most 128"),
        ("bundle_id", "b" * 129, "has 129 characters; give at most 128"),
        ("context", {str(n): "" for n in range(33)}, "has 33 entries; give at most 32"),
        ("context", {"": "x"}, "has an empty name; give a name"),
        ("context", {"a": "x" * 257}, "has 257 characters in a text; give at most 256"),
        ("context", {"x" * 257: "a"}, "has 257 characters in a text; give at most 256"),
        ("propensity", 0.0, "is 0.0; give 1e-06 to 1"),
        ("propensity", 1.1, "is 1.1; give 1e-06 to 1"),
        ("propensity", math.nan, "is nan; give a finite number"),
        ("price", -0.01, "is -0.01; give 0 to 1,000,000,000,000"),
        ("price", math.inf, "is inf; give a finite number"),
        ("quantity", 1.1e9, "is 1,100,000,000.0; give -1,000,000,000 to 1,000,000,000"),
    ],
)
def test_a_value_outside_its_limits_is_refused_with_its_path(field, value, problem):
    bad = replace(GOOD, **{field: value})
    assert error_of(GOOD, bad) == f"events[1].{field}: {problem}"


def test_a_call_has_at_least_one_event_and_at_most_a_thousand():
    many = [replace(GOOD, event_id=str(n)) for n in range(MAX_EVENTS + 1)]
    check_events(many[1:], MICROSECONDS + 1)
    assert error_of(*many) == "events: has 1,001 events; give 1 to 1,000"
    assert error_of() == "events: has 0 events; give 1 to 1,000"


def test_a_purchase_of_a_negative_quantity_is_a_return():
    assert event("e", "purchase", quantity=-2.0).type == "return"
    for quantity in (None, 0.0, 2.0):
        assert event("e", "purchase", quantity=quantity).type == "purchase"
    assert event("e", "add_to_cart", quantity=-2.0).type == "add_to_cart"
