"""Facets: how often the values of a field occur among some items."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Integer

from catalog.fields import ATTRIBUTE, DISTINCT, kind_of, value_of
from catalog.filters import FilterError, Interval, check_field, check_interval, within
from catalog.schema import TEXT

if TYPE_CHECKING:
    from catalog.store import ItemStore

MAX_FACETS = 20  # of one request
MAX_FACET_VALUES = 200  # of one facet
MAX_FACET_INTERVALS = 50  # of one facet

# Which items of a store: a mask, rows that are all different, or a slice.
Chosen: TypeAlias = Bool[np.ndarray, " items"] | Integer[np.ndarray, " rows"] | slice


@dataclass(frozen=True)
class Facet:
    """What to count."""

    field: str  # a column but item_id, title, description and image_url; or `attributes.NAME`
    max_values: int = 10  # most values of a text or flag, those of most items
    intervals: tuple[Interval, ...] = ()  # of a number, a date or an attribute: what to count in
    # the items to count: all that pass the filter, or the candidates that stage 1 recalled
    scope: Literal["matched", "recalled"] = "recalled"


@dataclass(frozen=True)
class FacetCounts:
    """What was counted.

    Attributes:
        field: The field.
        scope: Which items were counted: all that pass the filter, or the recalled candidates.
        known: How many of them have a value.
        values: Values of a text or flag with their counts, most frequent first; of
            equals the one that comes first in the catalogue.
        intervals: How many items lie in each interval that was asked for.
        smallest: The smallest number or date there is; None without one, and of texts and flags.
        largest: The largest.
    """

    field: str
    scope: Literal["matched", "recalled"]
    known: int
    values: tuple[tuple[str | bool, int], ...] = ()
    intervals: tuple[int, ...] = ()
    smallest: float | datetime.date | None = None
    largest: float | datetime.date | None = None


def check(facet: Facet, path: str) -> None:
    """Refuse a facet that means nothing for any catalogue.

    Raises:
        FilterError: naming the field of the facet, which stands at `path`.
    """
    kind = check_field(facet.field, f"{path}.field")
    if facet.field in DISTINCT:
        raise FilterError(
            f"{path}.field", "has a value of its own for each item; facet over another field"
        )
    if not 1 <= facet.max_values <= MAX_FACET_VALUES:
        raise FilterError(
            f"{path}.max_values", f"is {facet.max_values}; give 1 to {MAX_FACET_VALUES}"
        )
    if len(facet.intervals) > MAX_FACET_INTERVALS:
        raise FilterError(
            f"{path}.intervals",
            f"has {len(facet.intervals)} entries; at most {MAX_FACET_INTERVALS} are taken",
        )
    if facet.field.startswith(ATTRIBUTE):
        kind = "number"
    if facet.intervals and kind not in ("number", "date"):
        raise FilterError(
            f"{path}.intervals", "suit a number, a date or an attribute; leave them out"
        )
    for place, interval in enumerate(facet.intervals):
        check_interval(interval, kind, f"{path}.intervals[{place}]")


def count(facet: Facet, parts: Sequence[tuple["ItemStore", Chosen]]) -> FacetCounts:
    """Count a facet that `check` has let through.

    Args:
        facet: What to count.
        parts: Items, and which of them.
    """
    kind = kind_of(facet.field)
    if kind == "text":
        return _count_texts(facet, parts)
    numbers = _numbers(facet.field, parts)
    known = numbers[~np.isnan(numbers)]
    if kind == "flag":
        yes = int(np.count_nonzero(known))
        pairs = sorted([(True, yes), (False, len(known) - yes)], key=lambda pair: -pair[1])
        values = tuple(pair for pair in pairs if pair[1])[: facet.max_values]
        return FacetCounts(facet.field, facet.scope, len(known), values)
    return FacetCounts(
        facet.field,
        facet.scope,
        len(known),
        intervals=_in_intervals(facet, known),
        smallest=value_of(facet.field, known.min()) if len(known) else None,
        largest=value_of(facet.field, known.max()) if len(known) else None,
    )


def _count_texts(facet: Facet, parts: Sequence[tuple["ItemStore", Chosen]]) -> FacetCounts:
    values, counts = pa.array([], TEXT), np.zeros(0, np.int64)
    for store, chosen in parts:
        field = store.fields.text(facet.field)
        assert field.codes is not None  # `check` refuses the fields without
        # One place more, at 0, for the code of a missing value: -1.
        own = np.bincount(field.codes[chosen] + 1, minlength=len(field.values) + 1)[1:]
        # Values of an earlier part are counted where they are, others behind them.
        known = pc.index_in(field.values, value_set=values)
        at = np.asarray(known.fill_null(-1)) if len(values) else np.full(len(own), -1)
        np.add.at(counts, at[at >= 0], own[at >= 0])
        counts = np.concatenate([counts, own[at < 0]])
        values = pa.concat_arrays([values, field.values.filter(pa.array(at < 0))])
    top = np.argsort(-counts, kind="stable")[: facet.max_values]
    shown = tuple((values[at].as_py(), int(counts[at])) for at in top.tolist() if counts[at])
    numbers = _numbers(facet.field, parts) if facet.intervals else np.zeros(0)
    return FacetCounts(
        facet.field, facet.scope, int(counts.sum()), shown, _in_intervals(facet, numbers)
    )


def _numbers(
    field: str, parts: Sequence[tuple["ItemStore", Chosen]]
) -> Float64[np.ndarray, " chosen"]:
    return np.concatenate([store.fields.numbers(field)[chosen] for store, chosen in parts])


def _in_intervals(facet: Facet, numbers: Float64[np.ndarray, " n"]) -> tuple[int, ...]:
    return tuple(int(within(numbers, interval).sum()) for interval in facet.intervals)
