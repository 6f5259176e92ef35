"""Filters that break a limit."""

import datetime
import math
from collections.abc import Iterator
from functools import partial

from catalog.filters import And, Equals, Exists, Filter, In, Interval, Not, Or, Prefix, Range
from search.request import SearchRequest
from shortlist import filters
from shortlist.v1 import filter_pb2, search_service_pb2
from tests.refusals.refusal import COLUMNS, Refusal

DAY = datetime.date(2024, 2, 29)
VOLTIX = Equals("brand", "Voltix")
VOLTIX_MESSAGE = filters.equals("brand", "Voltix")


def filter_refusals() -> Iterator[Refusal]:
    for error, filter, message in invalid_filters():
        asked = search_service_pb2.SearchRequest(query="q", filter=message)
        python = partial(SearchRequest, "q", filter=filter)
        yield Refusal(error, python, None if message is None else asked)


def invalid_filters() -> Iterator[tuple[str, Filter, filter_pb2.Filter | None]]:
    """Yield an error, a filter, and the message of the filter, if a message can have it."""

    def refusal(error: str, filter: Filter, message: filter_pb2.Filter | None):
        return f"filter.{error}", filter, message

    known = f"{COLUMNS}, attributes.NAME"
    yield refusal(
        f"equals.field: names no field of items; give {known}",
        Equals("colour", "red"),
        filters.equals("colour", "red"),
    )
    yield refusal(
        f"exists.field: names no field of items; give {known}",
        Exists("attributes."),
        filters.exists("attributes."),
    )
    for field, kind, value in (
        ("price", "a finite number", "12"),
        ("price", "a finite number", True),
        ("price", "a finite number", math.nan),
        ("rating_count", "a finite number", DAY),
        ("in_stock", "true or false", 1.0),
        ("released", "a date", "2024-01-31"),
        ("brand", "text", 3.0),
        ("attributes.watt", "text", 65.0),
    ):
        yield refusal(
            f"equals.value: is invalid; give {kind}",
            Equals(field, value),
            filters.equals(field, value),
        )
    yield refusal(
        "equals.value: is invalid; give a date",
        Equals("released", datetime.datetime(2024, 2, 29)),
        None,
    )
    for surrogate in ("\ud800", "an \udfff"):
        yield refusal(
            "equals.value: has a lone surrogate (half a character); remove it",
            Equals("brand", surrogate),
            None,
        )
    yield refusal(
        "equals.value: is empty; to match items without a value, negate exists",
        Equals("brand", ""),
        filters.equals("brand", ""),
    )
    for count in (0, 1_001):
        yield refusal(
            f"in_list.values: has {count:,} entries; give 1 to 1,000",
            In("brand", ("x",) * count),
            filters.in_list("brand", ["x"] * count),
        )
    yield refusal(
        "in_list.values[1]: is invalid; give text",
        In("brand", ("x", 1)),
        filters.in_list("brand", ["x", 1]),
    )
    for field in ("brand", "in_stock"):
        yield refusal(
            "range.field: has no order; give a number, a date or an attribute",
            Range(field, Interval(above=1)),
            filters.between(field, above=1),
        )
    for field, bound, kind in (
        ("price", "3", "a finite number"),
        ("price", True, "a finite number"),
        ("price", math.inf, "a finite number"),
        ("price", DAY, "a finite number"),
        ("attributes.watt", DAY, "a finite number"),
        ("released", 3, "a date"),
    ):
        yield refusal(
            f"range.interval.below: is invalid; give {kind}",
            Range(field, Interval(below=bound)),
            filters.between(field, below=bound),  # type: ignore[arg-type]  # no number
        )
    yield refusal(
        "range.interval: has no bound; give at_least, above, at_most or below",
        Range("price", Interval()),
        filters.between("price"),
    )
    for interval in (Interval(above=1, at_least=1), Interval(below=1, at_most=1)):
        yield refusal(
            "range.interval: has two bounds on one side; give one", Range("price", interval), None
        )
    yield refusal(
        "range.interval: is empty; give a lower bound that is not above the upper bound",
        Range("price", Interval(above=2, below=1)),
        filters.between("price", above=2, below=1),
    )
    yield refusal(
        "prefix.field: is not text; give a text field or an attribute",
        Prefix("price", "1"),
        filters.prefix("price", "1"),
    )
    no_text = "ignore_case: needs a text; give a text field or an attribute, or leave it out"
    for field, value in (("price", 1.0), ("in_stock", True), ("released", DAY)):
        yield refusal(
            f"equals.{no_text}",
            Equals(field, value, ignore_case=True),
            filters.equals(field, value, ignore_case=True),
        )
        yield refusal(
            f"in_list.{no_text}",
            In(field, (value,), ignore_case=True),
            filters.in_list(field, [value], ignore_case=True),
        )
    yield refusal(
        "prefix.prefix: is empty; to match items without a value, negate exists",
        Prefix("brand", ""),
        filters.prefix("brand", ""),
    )
    yield refusal(
        "and_group.filters: is empty; give at least one filter", And(()), filters.all_of()
    )
    yield refusal(
        "or_group.filters[1].or_group.filters: is empty; give at least one filter",
        Or((VOLTIX, Or(()))),
        filters.any_of(VOLTIX_MESSAGE, filters.any_of()),
    )
    yield refusal(
        "or_group.filters[99]: is filter 101; give at most 100, or use in_list",
        Or((VOLTIX,) * 100),
        filters.any_of(*[VOLTIX_MESSAGE] * 100),
    )
    for path, filter_of, message_of in (
        ("not_filter", Not, filters.negate),
        ("and_group.filters[0]", lambda part: And((part,)), filters.all_of),
        ("or_group.filters[0]", lambda part: Or((part,)), filters.any_of),
    ):
        nested: Filter = VOLTIX
        message = VOLTIX_MESSAGE
        for _ in range(8):
            nested, message = filter_of(nested), message_of(message)
        levels = ".".join([path] * 8)
        yield refusal(f"{levels}: is on level 9; give at most 8 levels", nested, message)
