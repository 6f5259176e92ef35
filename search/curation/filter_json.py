"""Filters as JSON, with the names of the contract: `{"equals": {"field": "brand", "value": "Z"}}`.

Values are plain JSON: a text, a number, true or false. A date is a text such as "2026-01-31".
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from base.errors import RequestError
from catalog.fields import kind_of
from catalog.filters import (
    KIND_NAMES,
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
from search.curation.json_values import fields_of, list_of, typed

_MAX_DEPTH = 50  # the check of a filter allows fewer levels, but is made after the conversion


def to_object(tree: Filter) -> dict[str, Any]:
    """Return a filter as an object for JSON."""
    fields: dict[str, Any]
    match tree:
        case And(filters) | Or(filters):
            fields = {"filters": [to_object(part) for part in filters]}
        case Not(part):
            fields = to_object(part)
        case Range(field, interval):
            bounds = {name: _plain(v) for name, v in vars(interval).items() if v is not None}
            fields = {"field": field, "interval": bounds}
        case _:
            fields = {name: _plain(value) for name, value in vars(tree).items()}
            if not fields.get("ignore_case"):
                fields.pop("ignore_case", None)
    return {KIND_NAMES[type(tree)]: fields}


def filter_of(value: Any, path: str, depth: int = 1) -> Filter:
    """Return the filter of an object.

    Args:
        value: The object.
        path: Its path, for errors.
        depth: The level of the filter in its tree, from 1.

    Raises:
        RequestError: the object is no filter.
    """
    if depth > _MAX_DEPTH:
        raise RequestError(path, f"is on level {depth}; give fewer levels")
    parts = fields_of(value, path, optional=tuple(KIND_NAMES.values()))
    if len(parts) != 1:
        raise RequestError(path, f"has {len(parts)} kinds of filter; give one")
    [(kind, part)] = parts.items()
    path = f"{path}.{kind}"
    match kind:
        case "and_group":
            return And(_group(part, path, depth))
        case "or_group":
            return Or(_group(part, path, depth))
        case "not_filter":
            return Not(filter_of(part, path, depth + 1))
        case _:
            return _COMPARISONS[kind](part, path)


def _group(value: Any, path: str, depth: int) -> tuple[Filter, ...]:
    filters = fields_of(value, path, ("filters",))["filters"]
    return tuple(
        filter_of(part, f"{path}.filters[{index}]", depth + 1)
        for index, part in enumerate(list_of(filters, f"{path}.filters"))
    )


def _equals(value: Any, path: str) -> Equals:
    fields = fields_of(value, path, ("field", "value"), ("ignore_case",))
    field = typed(fields["field"], str, f"{path}.field")
    return Equals(field, _value(fields["value"], field, f"{path}.value"), _ignores(fields, path))


def _in(value: Any, path: str) -> In:
    fields = fields_of(value, path, ("field", "values"), ("ignore_case",))
    field = typed(fields["field"], str, f"{path}.field")
    values = tuple(
        _value(each, field, f"{path}.values[{index}]")
        for index, each in enumerate(list_of(fields["values"], f"{path}.values"))
    )
    return In(field, values, _ignores(fields, path))


def _range(value: Any, path: str) -> Range:
    fields = fields_of(value, path, ("field", "interval"))
    field = typed(fields["field"], str, f"{path}.field")
    names = ("at_least", "above", "at_most", "below")
    bounds = fields_of(fields["interval"], f"{path}.interval", optional=names)
    interval = Interval(
        **{name: _value(bound, field, f"{path}.interval.{name}") for name, bound in bounds.items()}
    )
    return Range(field, interval)


def _exists(value: Any, path: str) -> Exists:
    return Exists(typed(fields_of(value, path, ("field",))["field"], str, f"{path}.field"))


def _prefix(value: Any, path: str) -> Prefix:
    fields = fields_of(value, path, ("field", "prefix"), ("ignore_case",))
    field = typed(fields["field"], str, f"{path}.field")
    prefix = typed(fields["prefix"], str, f"{path}.prefix")
    return Prefix(field, prefix, _ignores(fields, path))


_COMPARISONS: Mapping[str, Callable[[Any, str], Filter]] = {
    "equals": _equals,
    "in_list": _in,
    "range": _range,
    "exists": _exists,
    "prefix": _prefix,
}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [*map(_plain, value)]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _value(value: Any, field: str, path: str) -> Value:
    """Return the value of a field, whose kind says whether a text is a date."""
    if not isinstance(value, str | int | float | bool):
        raise RequestError(path, "is invalid; give a text, a number, true or false")
    try:
        if isinstance(value, str) and kind_of(field) == "date":
            return datetime.date.fromisoformat(value)
    except KeyError:
        pass  # the check of the filter refuses the field
    except ValueError:
        raise RequestError(path, "is invalid; give a date such as 2026-01-31") from None
    return value


def _ignores(fields: Mapping[str, Any], path: str) -> bool:
    return typed(fields.get("ignore_case", False), bool, f"{path}.ignore_case")
