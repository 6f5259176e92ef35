"""Builders of filters: `all_of(equals("brand", "Voltix"), between("price", below=30))`.

The functions return messages of the contract and validate nothing. The server validates filters and
names the position of a problem.
"""

import datetime
from collections.abc import Iterable

from google.type import date_pb2

from shortlist.v1 import filter_pb2


def all_of(*filters: filter_pb2.Filter) -> filter_pb2.Filter:
    """Return the filter that an item passes if it passes all the given filters."""
    return filter_pb2.Filter(and_group=filter_pb2.FilterGroup(filters=filters))


def any_of(*filters: filter_pb2.Filter) -> filter_pb2.Filter:
    """Return the filter that an item passes if it passes at least one of the given filters."""
    return filter_pb2.Filter(or_group=filter_pb2.FilterGroup(filters=filters))


def negate(filter: filter_pb2.Filter) -> filter_pb2.Filter:
    """Return the filter that an item passes if it does not pass the given filter."""
    return filter_pb2.Filter(not_filter=filter)


def equals(
    field: str, value: str | float | bool | datetime.date, *, ignore_case: bool = False
) -> filter_pb2.Filter:
    """Return the filter for items whose field has this value."""
    equals = filter_pb2.EqualsFilter(field=field, value=_value(value), ignore_case=ignore_case)
    return filter_pb2.Filter(equals=equals)


def in_list(
    field: str,
    values: Iterable[str | float | bool | datetime.date],
    *,
    ignore_case: bool = False,
) -> filter_pb2.Filter:
    """Return the filter for items whose field has one of these values."""
    in_list = filter_pb2.InListFilter(
        field=field, values=map(_value, values), ignore_case=ignore_case
    )
    return filter_pb2.Filter(in_list=in_list)


def between(
    field: str,
    *,
    at_least: float | datetime.date | None = None,
    above: float | datetime.date | None = None,
    at_most: float | datetime.date | None = None,
    below: float | datetime.date | None = None,
) -> filter_pb2.Filter:
    """Return the filter for items whose number or date lies in an interval; see `interval`."""
    bounds = interval(at_least=at_least, above=above, at_most=at_most, below=below)
    return filter_pb2.Filter(range=filter_pb2.RangeFilter(field=field, interval=bounds))


def exists(field: str) -> filter_pb2.Filter:
    """Return the filter for items whose field has any value."""
    return filter_pb2.Filter(exists=filter_pb2.ExistsFilter(field=field))


def prefix(field: str, text: str, *, ignore_case: bool = False) -> filter_pb2.Filter:
    """Return the filter for items whose text begins with a prefix.

    For the fields "category" and "categories", these are the items of the category and of all
    categories below it.
    """
    prefix = filter_pb2.PrefixFilter(field=field, prefix=text, ignore_case=ignore_case)
    return filter_pb2.Filter(prefix=prefix)


def interval(
    *,
    at_least: float | datetime.date | None = None,
    above: float | datetime.date | None = None,
    at_most: float | datetime.date | None = None,
    below: float | datetime.date | None = None,
) -> filter_pb2.Interval:
    """Return an interval, for a range filter or a facet.

    Raises:
        ValueError: There are two lower or two upper bounds.
    """
    if None not in (at_least, above) or None not in (at_most, below):
        raise ValueError("give at_least or above, not both; and at_most or below, not both")
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    return filter_pb2.Interval(
        **{name: _value(bound) for name, bound in bounds.items() if bound is not None}
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
