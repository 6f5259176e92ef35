"""Facets: count the values of a field over a selection of items."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from base.errors import RequestError, check_count, check_range
from catalog.attribute_roles import ATTRIBUTE
from catalog.fields import (
    CATEGORIES,
    DISTINCT,
    MAX_CATEGORY_LEVEL,
    RowSelection,
    kind_of,
    value_of,
)
from catalog.filters import Interval, check_field, check_interval, within
from catalog.schema import TEXT

if TYPE_CHECKING:
    from catalog.store import ItemStore

MAX_FACETS = 20  # maximum number of facets in a request
MAX_FACET_VALUES = 200  # highest allowed value of `Facet.max_values`
MAX_FACET_INTERVALS = 50  # maximum number of intervals of a facet


@dataclass(frozen=True)
class Facet:
    """A field to count."""

    field: str  # a column that is not in fields.DISTINCT, or `attributes.NAME`
    # maximum number of values to return for a text or flag: the most frequent values
    max_values: int = 10
    # for a number, date or attribute: count the items in each of these intervals
    intervals: tuple[Interval, ...] = ()
    # "matched": count all items that pass the filter; "recalled": only the recalled candidates
    scope: Literal["matched", "recalled"] = "recalled"
    # count as if the request's filter had no parts on this field; see `filters.without_field`
    ignore_own_filter: bool = False
    level: int = 0  # number of leading levels of a category to count together; 0: the whole path


@dataclass(frozen=True)
class FacetCounts:
    """The counts of a facet.

    Attributes:
        field: The field.
        scope: Which items are counted; see `Facet.scope`.
        known_count: The number of counted items that have a value.
        values: Values of a text or flag with their counts, the most frequent first. Values with
            equal counts keep the order in which they first occur in the catalogue. An item with
            several values counts for each of them.
        interval_counts: The number of items in each requested interval.
        smallest: The smallest number or date. For an attribute, only values that are plain numbers
            count. None if no item has such a value, and for other texts and flags.
        largest: The largest number or date. None in the same cases as `smallest`.
    """

    field: str
    scope: Literal["matched", "recalled"]
    known_count: int
    values: tuple[tuple[str | bool, int], ...] = ()
    interval_counts: tuple[int, ...] = ()
    smallest: float | datetime.date | None = None
    largest: float | datetime.date | None = None


def check(facet: Facet, path: str) -> None:
    """Check that a facet is valid. The result does not depend on the catalogue.

    Args:
        facet: The facet.
        path: Its path in the request, for the error.

    Raises:
        RequestError: the facet is invalid.
    """
    kind = check_field(facet.field, f"{path}.field")
    if facet.field in DISTINCT:
        raise RequestError(
            f"{path}.field", "has a different value for each item; give another field"
        )
    check_range(facet.max_values, f"{path}.max_values", 1, MAX_FACET_VALUES)
    check_count(len(facet.intervals), f"{path}.intervals", None, MAX_FACET_INTERVALS)
    check_range(facet.level, f"{path}.level", 0, MAX_CATEGORY_LEVEL)
    if facet.level and facet.field not in CATEGORIES:
        raise RequestError(
            f"{path}.level", f"is {facet.level}; give 0, or the field category or categories"
        )
    if facet.field.startswith(ATTRIBUTE):
        kind = "number"
    if facet.intervals and kind not in ("number", "date"):
        raise RequestError(
            f"{path}.intervals", "need a field with an order; give a number, a date or an attribute"
        )
    for index, interval in enumerate(facet.intervals):
        check_interval(interval, kind, f"{path}.intervals[{index}]")


def count(facet: Facet, parts: Sequence[tuple["ItemStore", RowSelection]]) -> FacetCounts:
    """Count a valid facet (see `check`).

    Args:
        facet: The facet.
        parts: Stores, each with its rows to count.
    """
    kind = kind_of(facet.field)
    if kind == "text":
        return _count_texts(facet, parts)
    numbers = _numbers(facet.field, parts)
    known = numbers[~np.isnan(numbers)]
    if kind == "flag":
        true_count = int(np.count_nonzero(known))
        pairs = [(True, true_count), (False, len(known) - true_count)]
        pairs.sort(key=lambda pair: -pair[1])
        values = tuple(pair for pair in pairs if pair[1])[: facet.max_values]
        return FacetCounts(facet.field, facet.scope, len(known), values)
    return FacetCounts(
        facet.field,
        facet.scope,
        len(known),
        interval_counts=_in_intervals(facet, known),
        smallest=value_of(facet.field, known.min()) if len(known) else None,
        largest=value_of(facet.field, known.max()) if len(known) else None,
    )


def _count_texts(facet: Facet, parts: Sequence[tuple["ItemStore", RowSelection]]) -> FacetCounts:
    values, counts = pa.array([], TEXT), np.zeros(0, np.int64)
    known_count, in_intervals = 0, [0] * len(facet.intervals)
    limits = list[float]()
    for store, selection in parts:
        field = store.fields.text(facet.field, facet.level)
        codes, rows = field.selected(selection)
        # Add 1 to the codes, so that missing values (-1) are counted at index 0, which is cut off.
        new = np.bincount(codes + 1, minlength=len(field.values) + 1)[1:]
        known_count += int(new.sum()) if rows is None else _distinct(rows)
        if facet.field.startswith(ATTRIBUTE):
            numbers = field.numbers
            for position, interval in enumerate(facet.intervals):
                holds = within(numbers, interval)
                in_intervals[position] += (
                    int(new[holds].sum()) if rows is None else _distinct(rows[holds[codes]])
                )
            counted = numbers[(new > 0) & ~np.isnan(numbers)]
            limits += [counted.min(), counted.max()] if len(counted) else []
        # Add the counts of values that earlier parts have too; append the other values.
        known = pc.index_in(field.values, value_set=values)
        index = np.asarray(known.fill_null(-1)) if len(values) else np.full(len(new), -1)
        np.add.at(counts, index[index >= 0], new[index >= 0])
        counts = np.concatenate([counts, new[index < 0]])
        values = pa.concat_arrays([values, field.values.filter(pa.array(index < 0))])
    top = np.argsort(-counts, kind="stable")[: facet.max_values].tolist()
    return FacetCounts(
        facet.field,
        facet.scope,
        known_count,
        tuple((values[index].as_py(), int(counts[index])) for index in top if counts[index]),
        tuple(in_intervals),
        float(min(limits)) if limits else None,
        float(max(limits)) if limits else None,
    )


def _distinct(rows: Int64[np.ndarray, " entries"]) -> int:
    """Return the number of distinct rows among rising rows."""
    return int(np.count_nonzero(np.diff(rows, prepend=-1)))


def _numbers(
    field: str, parts: Sequence[tuple["ItemStore", RowSelection]]
) -> Float64[np.ndarray, " selected"]:
    return np.concatenate([store.fields.numbers(field)[selection] for store, selection in parts])


def _in_intervals(facet: Facet, numbers: Float64[np.ndarray, " n"]) -> tuple[int, ...]:
    return tuple(int(within(numbers, interval).sum()) for interval in facet.intervals)
