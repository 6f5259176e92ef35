"""Filters: a typed tree over the fields of items, and the rows that pass it.

A field is a column of `items` (`fields.COLUMNS`) or an attribute, `attributes.NAME`. The rules:

- Text is compared exactly, or with `ignore_case` in the form of `fold_case`. Attributes are text.
- A missing value or an empty text passes no comparison, so it passes the `Not` of every comparison.
- An item with several values passes a comparison if any of its values passes.
- `Prefix` of a category compares whole levels. For the prefix "Electronics > Chargers", items of
  this category and of all categories below it pass. Items of "Electronics > Chargers and hubs" do
  not pass.
- `Range` of an attribute reads the attribute's values as plain numbers, such as "65" or "-1.5".
  Other values do not pass.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64

from base.errors import RequestError, check_count, unknown_name
from catalog.attribute_roles import ATTRIBUTE
from catalog.fields import (
    CATEGORIES,
    COLUMNS,
    LEVEL,
    Kind,
    Number,
    kind_of,
    number_of,
)
from catalog.item_text import fold_case
from catalog.items import check_value

if TYPE_CHECKING:
    from catalog.store import ItemStore

MAX_FILTER_DEPTH = 8  # maximum number of levels of nested filters
MAX_FILTER_NODES = 100  # maximum number of filters in a tree
MAX_FILTER_VALUES = 1_000  # maximum number of values of an `In`

Value: TypeAlias = str | Number | bool | datetime.date

_TYPES: Mapping[Kind, type] = {
    "text": str,
    "number": float,
    "flag": bool,
    "date": datetime.date,
}


@dataclass(frozen=True)
class Interval:
    """Numbers or dates with a lower bound, an upper bound or both."""

    at_least: Value | None = None  # inclusive lower bound
    above: Value | None = None  # exclusive lower bound
    at_most: Value | None = None  # inclusive upper bound
    below: Value | None = None  # exclusive upper bound


@dataclass(frozen=True)
class And:
    """Passes if every filter passes."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True)
class Or:
    """Passes if at least one filter passes."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True)
class Not:
    """Passes if the filter does not pass."""

    filter: "Filter"


@dataclass(frozen=True)
class Equals:
    """Passes if the field has this value."""

    field: str
    value: Value
    ignore_case: bool = False  # compare a text without letter case


@dataclass(frozen=True)
class In:
    """Passes if the field has one of these values."""

    field: str
    values: tuple[Value, ...]
    ignore_case: bool = False  # compare a text without letter case


@dataclass(frozen=True)
class Range:
    """Passes if the field is a number or a date in an interval."""

    field: str
    interval: Interval


@dataclass(frozen=True)
class Exists:
    """Passes if the field has a value."""

    field: str


@dataclass(frozen=True)
class Prefix:
    """Passes if the field's text begins with this prefix; for categories, see the module."""

    field: str
    prefix: str
    ignore_case: bool = False  # compare without letter case


Filter: TypeAlias = And | Or | Not | Equals | In | Range | Exists | Prefix

# The field of the contract's message that has each kind of filter.
KIND_NAMES: Mapping[type, str] = {
    And: "and_group",
    Or: "or_group",
    Not: "not_filter",
    Equals: "equals",
    In: "in_list",
    Range: "range",
    Exists: "exists",
    Prefix: "prefix",
}


def check(tree: Filter, path: str) -> None:
    """Check that a filter is valid. The result does not depend on the catalogue.

    Args:
        tree: The filter.
        path: Its path in the request, for the error.

    Raises:
        RequestError: the filter is invalid.
    """
    _check(tree, path, 1, [0])


def fields_of(tree: Filter, path: str) -> Iterator[tuple[str, str]]:
    """Yield the field of each comparison of a filter, and the path of this field in the request.

    Args:
        tree: The filter.
        path: Its path in the request.
    """
    match tree:
        case And(filters) | Or(filters):
            for index, part in enumerate(filters):
                yield from fields_of(part, f"{path}.{KIND_NAMES[type(tree)]}.filters[{index}]")
        case Not(part):
            yield from fields_of(part, f"{path}.{KIND_NAMES[Not]}")
        case _:
            yield tree.field, f"{path}.{KIND_NAMES[type(tree)]}.field"


def without_field(tree: Filter | None, field: str) -> Filter | None:
    """Return a filter without the parts on one field only; None if no part remains.

    The parts are the filters of the `And` at the root, or else the whole filter.
    """
    if tree is None:
        return None
    parts = tree.filters if isinstance(tree, And) else (tree,)
    others = [part for part in parts if {name for name, _ in fields_of(part, "")} != {field}]
    if len(others) == len(parts):
        return tree
    return And(tuple(others)) if others else None


def matching(tree: Filter, store: "ItemStore") -> Bool[np.ndarray, " items"]:
    """Return a mask of the items that pass a valid filter (see `check`)."""
    match tree:
        case And(filters):
            return reduce(np.logical_and, [matching(part, store) for part in filters])
        case Or(filters):
            return reduce(np.logical_or, [matching(part, store) for part in filters])
        case Not(part):
            return ~matching(part, store)
        case _:
            return _compared(tree, store)


def within(numbers: Float64[np.ndarray, " n"], interval: Interval) -> Bool[np.ndarray, " n"]:
    """Return whether each number lies in an interval; NaN lies in no interval."""
    passed: Bool[np.ndarray, " n"] = ~np.isnan(numbers)
    for bound, holds in (
        (interval.at_least, np.greater_equal),
        (interval.above, np.greater),
        (interval.at_most, np.less_equal),
        (interval.below, np.less),
    ):
        if bound is not None:
            assert not isinstance(bound, str)  # `check_interval` refuses texts
            passed &= holds(numbers, number_of(bound))
    return passed


def check_interval(interval: Interval, kind: Kind, path: str) -> None:
    """Check that an interval is not empty and that its bounds are of the field's kind.

    Raises:
        RequestError: the interval is invalid.
    """
    for name, bound in vars(interval).items():
        if bound is not None:
            _check_value(bound, kind, f"{path}.{name}")
    low = _numbers(interval.at_least, interval.above)
    high = _numbers(interval.at_most, interval.below)
    if len(low) > 1 or len(high) > 1:
        raise RequestError(path, "has two bounds on one side; give one")
    if not low and not high:
        raise RequestError(path, "has no bound; give at_least, above, at_most or below")
    if low and high and low[0] > high[0]:
        raise RequestError(path, "is empty; give a lower bound that is not above the upper bound")


def check_field(field: str, path: str) -> Kind:
    """Check that a field exists, and return its kind.

    Raises:
        RequestError: there is no field of that name.
    """
    try:
        return kind_of(field)
    except KeyError:
        known = (*COLUMNS, f"{ATTRIBUTE}NAME")
        raise unknown_name(path, known, "field of items") from None


def _check(tree: Filter, path: str, depth: int, count: list[int]) -> None:
    """Check a tree and count its nodes in `count`."""
    count[0] += 1
    if depth > MAX_FILTER_DEPTH:
        raise RequestError(path, f"is on level {depth}; give at most {MAX_FILTER_DEPTH} levels")
    if count[0] > MAX_FILTER_NODES:
        raise RequestError(
            path, f"is filter {count[0]}; give at most {MAX_FILTER_NODES}, or use in_list"
        )
    match tree:
        case And(filters) | Or(filters):
            group = f"{path}.{KIND_NAMES[type(tree)]}"
            if not filters:
                raise RequestError(f"{group}.filters", "is empty; give at least one filter")
            for index, part in enumerate(filters):
                _check(part, f"{group}.filters[{index}]", depth + 1, count)
        case Not(part):
            _check(part, f"{path}.{KIND_NAMES[Not]}", depth + 1, count)
        case _:
            _check_comparison(tree, path)


def _check_comparison(tree: Equals | In | Range | Exists | Prefix, path: str) -> None:
    path = f"{path}.{KIND_NAMES[type(tree)]}"
    kind = check_field(tree.field, f"{path}.field")
    match tree:
        case Equals(_, value):
            _check_value(value, kind, f"{path}.value")
            _check_ignore_case(tree.ignore_case, kind, path)
        case In(_, values):
            _check_ignore_case(tree.ignore_case, kind, path)
            check_count(len(values), f"{path}.values", 1, MAX_FILTER_VALUES)
            for index, value in enumerate(values):
                _check_value(value, kind, f"{path}.values[{index}]")
        case Range(field, interval):
            if field.startswith(ATTRIBUTE):
                kind = "number"
            if kind not in ("number", "date"):
                raise RequestError(
                    f"{path}.field", "has no order; give a number, a date or an attribute"
                )
            check_interval(interval, kind, f"{path}.interval")
        case Prefix(_, prefix):
            if kind != "text":
                raise RequestError(
                    f"{path}.field", "is not text; give a text field or an attribute"
                )
            _check_value(prefix, "text", f"{path}.prefix")


def _check_value(value: Value, kind: Kind, path: str) -> None:
    check_value(value, _TYPES[kind], path)
    if value == "":
        raise RequestError(path, "is empty; to match items without a value, negate exists")


def _check_ignore_case(ignore_case: bool, kind: Kind, path: str) -> None:
    if ignore_case and kind != "text":
        raise RequestError(
            f"{path}.ignore_case",
            "needs a text; give a text field or an attribute, or leave it out",
        )


def _numbers(*values: Value | None) -> list[float]:
    """Return values as numbers; leave out None and texts."""
    return [
        number_of(value) for value in values if value is not None and not isinstance(value, str)
    ]


def _compared(
    tree: Equals | In | Range | Exists | Prefix, store: "ItemStore"
) -> Bool[np.ndarray, " items"]:
    match tree:
        case Equals(field, value):
            return _one_of(store, field, (value,), tree.ignore_case)
        case In(field, values):
            return _one_of(store, field, values, tree.ignore_case)
        case Range(field, interval):
            return _within(store, field, interval)
        case Exists(field) if kind_of(field) == "text":
            return _text(store, field, lambda texts: pc.not_equal(texts, ""))
        case Exists(field):
            return _within(store, field, Interval())
        case Prefix(field, prefix):
            prefix = fold_case(prefix) if tree.ignore_case else prefix
            by_level = field in CATEGORIES
            return _text(
                store, field, lambda texts: _begins(texts, prefix, by_level), tree.ignore_case
            )


def _one_of(
    store: "ItemStore", field: str, values: Sequence[Value], ignore_case: bool
) -> Bool[np.ndarray, " items"]:
    if kind_of(field) == "text":
        texts = [fold_case(str(value)) for value in values] if ignore_case else values
        operands = pa.array(texts, pa.large_string())
        if len(values) == 1:
            return _text(store, field, lambda texts: pc.equal(texts, operands[0]), ignore_case)
        return _text(store, field, lambda texts: pc.is_in(texts, value_set=operands), ignore_case)
    numbers = store.fields.numbers(field)
    operands = _numbers(*values)
    return np.equal(numbers, operands[0]) if len(operands) == 1 else np.isin(numbers, operands)


def _within(store: "ItemStore", field: str, interval: Interval) -> Bool[np.ndarray, " items"]:
    if field.startswith(ATTRIBUTE):
        texts = store.fields.text(field)
        return texts.rows_where(within(texts.numbers, interval))
    return within(store.fields.numbers(field), interval)


def _text(
    store: "ItemStore",
    field: str,
    test: Callable[[pa.Array], pa.Array],
    ignore_case: bool = False,
) -> Bool[np.ndarray, " items"]:
    texts = store.fields.text(field)
    return texts.rows_where(test(texts.folded if ignore_case else texts.values))


def _begins(texts: pa.Array, prefix: str, by_level: bool) -> pa.Array:
    if not by_level:
        return pc.starts_with(texts, prefix)
    return pc.or_(pc.equal(texts, prefix), pc.starts_with(texts, prefix + LEVEL))
