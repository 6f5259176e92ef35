"""Convert filters and facets between the contract and the catalogue.

These functions refuse only messages that have no counterpart in Python; see `common`.
"""

import datetime
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from google.protobuf.message import Message

from base.errors import RequestError, check_count
from catalog.facets import MAX_FACET_VALUES, MAX_FACETS, Facet, FacetCounts
from catalog.filters import (
    KIND_NAMES,
    MAX_FILTER_NODES,
    MAX_FILTER_VALUES,
    And,
    Equals,
    Exists,
    Filter,
    In,
    Interval,
    Not,
    Or,
    Prefix,
    Range,
    Value,
)
from server.convert.dates import date_message, date_record
from shortlist.v1 import facet_pb2, filter_pb2

MAX_FILTER_BYTES = 256 * 2**10

_SCOPES: Mapping[Literal["matched", "recalled"], "facet_pb2.FacetScope.ValueType"] = {
    "matched": facet_pb2.FACET_SCOPE_MATCHED,
    "recalled": facet_pb2.FACET_SCOPE_RECALLED,
}
_SCOPE_OF: Mapping[int, Literal["matched", "recalled"]] = {
    facet_pb2.FACET_SCOPE_UNSPECIFIED: "recalled",
    **{value: scope for scope, value in _SCOPES.items()},
}


def filter_record(message: filter_pb2.Filter, path: str) -> Filter:
    """Convert a message to a filter.

    Args:
        message: The filter in the request.
        path: The path of that filter, such as "filter" or "rules.excluded".

    Raises:
        RequestError: a part of the filter is not set, or the filter is too large.
    """
    check_count(message.ByteSize(), path, None, MAX_FILTER_BYTES, "bytes")
    return _filter(message, path, itertools.count(1))


def filter_message(tree: Filter) -> filter_pb2.Filter:
    """Convert a filter to a message."""
    part: Message
    match tree:
        case And(filters) | Or(filters):
            part = filter_pb2.FilterGroup(filters=map(filter_message, filters))
        case Not(negated):
            part = filter_message(negated)
        case Equals(field, value, ignore_case):
            part = filter_pb2.EqualsFilter(
                field=field, value=value_message(value), ignore_case=ignore_case
            )
        case In(field, values, ignore_case):
            part = filter_pb2.InListFilter(
                field=field, values=map(value_message, values), ignore_case=ignore_case
            )
        case Range(field, interval):
            part = filter_pb2.RangeFilter(field=field, interval=interval_message(interval))
        case Exists(field):
            part = filter_pb2.ExistsFilter(field=field)
        case Prefix(field, prefix, ignore_case):
            part = filter_pb2.PrefixFilter(field=field, prefix=prefix, ignore_case=ignore_case)
    return filter_pb2.Filter(**{KIND_NAMES[type(tree)]: part})  # type: ignore[arg-type]


def interval_message(interval: Interval) -> filter_pb2.Interval:
    """Convert an interval to a message."""
    bounds = {name: bound for name, bound in vars(interval).items() if bound is not None}
    return filter_pb2.Interval(**{name: value_message(bound) for name, bound in bounds.items()})


def facet_records(messages: Sequence[facet_pb2.Facet]) -> tuple[Facet, ...]:
    """Convert the facets of a request; raise RequestError for a malformed facet."""
    check_count(len(messages), "facets", None, MAX_FACETS)
    return tuple(_facet(message, f"facets[{index}]") for index, message in enumerate(messages))


def facet_message(counts: FacetCounts) -> facet_pb2.FacetCounts:
    """Convert the counts of a facet to a message."""
    return facet_pb2.FacetCounts(
        field=counts.field,
        scope=_SCOPES[counts.scope],
        known_count=counts.known_count,
        values=[
            facet_pb2.ValueCount(value=value_message(value), count=count)
            for value, count in counts.values
        ],
        interval_counts=counts.interval_counts,
        smallest=None if counts.smallest is None else value_message(counts.smallest),
        largest=None if counts.largest is None else value_message(counts.largest),
    )


def value_message(value: Value) -> filter_pb2.Value:
    """Convert a value to a message."""
    match value:
        case str():
            return filter_pb2.Value(text=value)
        case bool():
            return filter_pb2.Value(flag=value)
        case datetime.date():
            return filter_pb2.Value(date=date_message(value))
        case _:
            return filter_pb2.Value(number=value)


def _filter(message: filter_pb2.Filter, path: str, numbers: Iterator[int]) -> Filter:
    """Convert a filter of a tree, whose filters are numbered by `numbers`."""
    # The engine refuses the filter too, but the conversion of many filters blocks the event loop.
    if (number := next(numbers)) > MAX_FILTER_NODES:
        raise RequestError(
            path, f"is filter {number}; give at most {MAX_FILTER_NODES}, or use in_list"
        )
    match message.WhichOneof("kind"):
        case "and_group":
            return And(_group(message.and_group, f"{path}.and_group", numbers))
        case "or_group":
            return Or(_group(message.or_group, f"{path}.or_group", numbers))
        case "not_filter":
            return Not(_filter(message.not_filter, f"{path}.not_filter", numbers))
        case _:
            return _comparison(message, path)


def _group(
    message: filter_pb2.FilterGroup, path: str, numbers: Iterator[int]
) -> tuple[Filter, ...]:
    parts = enumerate(message.filters)
    return tuple(_filter(part, f"{path}.filters[{index}]", numbers) for index, part in parts)


def _comparison(message: filter_pb2.Filter, path: str) -> Equals | In | Range | Exists | Prefix:
    match message.WhichOneof("kind"):
        case "equals":
            value = _value(message.equals.value, f"{path}.equals.value")
            return Equals(message.equals.field, value, message.equals.ignore_case)
        case "in_list":
            check_count(len(message.in_list.values), f"{path}.in_list.values", 1, MAX_FILTER_VALUES)
            values = tuple(
                _value(value, f"{path}.in_list.values[{index}]")
                for index, value in enumerate(message.in_list.values)
            )
            return In(message.in_list.field, values, message.in_list.ignore_case)
        case "range":
            interval = _interval(message.range.interval, f"{path}.range.interval")
            return Range(message.range.field, interval)
        case "exists":
            return Exists(message.exists.field)
        case "prefix":
            prefix = message.prefix
            return Prefix(prefix.field, prefix.prefix, prefix.ignore_case)
        case _:
            raise RequestError(path, "is empty; give a group, a filter to negate or a comparison")


def _value(message: filter_pb2.Value, path: str) -> Value:
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "number":
            return message.number
        case "flag":
            return message.flag
        case "date":
            return date_record(message.date, f"{path}.date")
        case _:
            raise RequestError(path, "is empty; give a text, a number, a flag or a date")


def _interval(message: filter_pb2.Interval, path: str) -> Interval:
    bounds = {bound.name: value for bound, value in message.ListFields()}
    return Interval(**{name: _value(value, f"{path}.{name}") for name, value in bounds.items()})


def _facet(message: facet_pb2.Facet, path: str) -> Facet:
    if message.scope not in _SCOPE_OF:
        raise RequestError(f"{path}.scope", f"is {message.scope}; give a value of FacetScope")
    return Facet(
        message.field,
        min(message.max_values, MAX_FACET_VALUES) or Facet.max_values,
        tuple(
            _interval(interval, f"{path}.intervals[{index}]")
            for index, interval in enumerate(message.intervals)
        ),
        _SCOPE_OF[message.scope],
        message.ignore_own_filter,
        message.level,
    )
