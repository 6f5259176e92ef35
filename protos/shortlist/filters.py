"""Short ways to write filters: `all_of(equals("brand", "Voltix"), between("price", below=30))`.

They build the contract's own messages and check nothing; the server does, and names the place.
"""

import datetime
from collections.abc import Iterable

from google.type import date_pb2

from shortlist.v1 import filter_pb2


def all_of(*filters: filter_pb2.Filter) -> filter_pb2.Filter:
    """Every filter passes."""
    return filter_pb2.Filter(and_group=filter_pb2.FilterGroup(filters=filters))


def any_of(*filters: filter_pb2.Filter) -> filter_pb2.Filter:
    """At least one filter passes."""
    return filter_pb2.Filter(or_group=filter_pb2.FilterGroup(filters=filters))


def negate(filter: filter_pb2.Filter) -> filter_pb2.Filter:
    """The filter does not pass."""
    return filter_pb2.Filter(not_filter=filter)


def equals(field: str, value: str | float | bool | datetime.date) -> filter_pb2.Filter:
    """The field has this value."""
    return filter_pb2.Filter(equals=filter_pb2.EqualsFilter(field=field, value=_value(value)))


def in_list(field: str, values: Iterable[str | float | bool | datetime.date]) -> filter_pb2.Filter:
    """The field has one of these values."""
    wanted = filter_pb2.InListFilter(field=field, values=map(_value, values))
    return filter_pb2.Filter(in_list=wanted)


def between(
    field: str,
    *,
    at_least: float | datetime.date | None = None,
    above: float | datetime.date | None = None,
    at_most: float | datetime.date | None = None,
    below: float | datetime.date | None = None,
) -> filter_pb2.Filter:
    """The number or date lies between the bounds given; see `interval`."""
    bounds = interval(at_least=at_least, above=above, at_most=at_most, below=below)
    return filter_pb2.Filter(range=filter_pb2.RangeFilter(field=field, interval=bounds))


def exists(field: str) -> filter_pb2.Filter:
    """The field has a value."""
    return filter_pb2.Filter(exists=filter_pb2.ExistsFilter(field=field))


def prefix(field: str, text: str) -> filter_pb2.Filter:
    """The text begins with this; a category is this one or lies below it."""
    return filter_pb2.Filter(prefix=filter_pb2.PrefixFilter(field=field, prefix=text))


def interval(
    *,
    at_least: float | datetime.date | None = None,
    above: float | datetime.date | None = None,
    at_most: float | datetime.date | None = None,
    below: float | datetime.date | None = None,
) -> filter_pb2.Interval:
    """The bounds of a range, or of what a facet counts in.

    Raises:
        ValueError: two bounds on one side.
    """
    if None not in (at_least, above) or None not in (at_most, below):
        raise ValueError("give at_least or above, not both; and at_most or below, not both")
    given = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    return filter_pb2.Interval(
        **{name: _value(bound) for name, bound in given.items() if bound is not None}
    )


def _value(value: str | float | bool | datetime.date) -> filter_pb2.Value:
    match value:
        case str():
            return filter_pb2.Value(text=value)
        case bool():
            return filter_pb2.Value(flag=value)
        case datetime.date():
            date = date_pb2.Date(year=value.year, month=value.month, day=value.day)
            return filter_pb2.Value(date=date)
        case _:
            return filter_pb2.Value(number=value)
