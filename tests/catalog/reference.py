"""Filters and facets computed item by item in plain Python, by their documented rules."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from catalog.facets import Facet
from catalog.filters import And, Equals, Exists, In, Interval, Not, Or, Prefix, Range
from catalog.items import Item


def values_of(item: Item, field: str) -> list:
    """Return the values of a field that are known and not an empty text."""
    if field.startswith("attributes."):
        values = item.attributes.get(field.removeprefix("attributes."))
    else:
        values = getattr(item, field)
    values = values if isinstance(values, tuple) else (values,)
    return [value for value in values if value not in (None, "")]


def passes(tree, item: Item) -> bool:
    """Return whether an item passes a filter, by the documented rules of `catalog.filters`."""
    if isinstance(tree, And):
        return all(passes(part, item) for part in tree.filters)
    if isinstance(tree, Or):
        return any(passes(part, item) for part in tree.filters)
    if isinstance(tree, Not):
        return not passes(tree.filter, item)
    return any(compares(tree, value) for value in values_of(item, tree.field))


def compares(tree, value) -> bool:
    if getattr(tree, "ignore_case", False):
        value, tree = folded(value), without_case(tree)
    match tree:
        case Equals(_, operand):
            return value == operand
        case In(_, operands):
            return value in operands
        case Exists():
            return True
        case Range():
            return lies_within(value, tree.interval)
        case Prefix("category" | "categories", prefix):
            levels, leading = value.split(" > "), prefix.split(" > ")
            return levels[: len(leading)] == leading
        case Prefix(_, prefix):
            return value.startswith(prefix)


def folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def without_case(tree):
    match tree:
        case Equals(field, operand):
            return Equals(field, folded(operand))
        case In(field, operands):
            return In(field, tuple(map(folded, operands)))
        case Prefix(field, prefix):
            return Prefix(field, folded(prefix))


def lies_within(value, bounds: Interval) -> bool:
    value = number_of(value)
    return value is not None and (
        (bounds.at_least is None or value >= bounds.at_least)
        and (bounds.above is None or value > bounds.above)
        and (bounds.at_most is None or value <= bounds.at_most)
        and (bounds.below is None or value < bounds.below)
    )


def number_of(value):
    """Return a number or date as it is; read a text as a plain number, or return None."""
    if not isinstance(value, str):
        return value
    return float(value) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value) else None


def fields_in(tree) -> set[str]:
    """Return the fields that a filter compares."""
    if isinstance(tree, And | Or):
        return {field for part in tree.filters for field in fields_in(part)}
    return fields_in(tree.filter) if isinstance(tree, Not) else {tree.field}


def passes_facet(tree, facet: Facet, item: Item) -> bool:
    """Return whether a facet counts an item, by the request's filter and `ignore_own_filter`."""
    parts = tree.filters if isinstance(tree, And) else () if tree is None else (tree,)
    return all(
        (facet.ignore_own_filter and fields_in(part) == {facet.field}) or passes(part, item)
        for part in parts
    )


def counted(facet: Facet, items: Sequence[Item]) -> tuple:
    """Return the counts of each value, the number of known items, and the counts of intervals."""
    counts: Counter = Counter()
    known, in_intervals, numbers = 0, [0] * len(facet.intervals), []
    for item in items:
        values = values_of(item, facet.field)
        if facet.level:
            values = [" > ".join(value.split(" > ")[: facet.level]) for value in values]
        counts.update(set(values))
        known += bool(values)
        numbers += [n for n in map(number_of, values) if n is not None]
        for index, interval in enumerate(facet.intervals):
            in_intervals[index] += any(lies_within(value, interval) for value in values)
    return (
        counts,
        known,
        tuple(in_intervals),
        min(numbers, default=None),
        max(numbers, default=None),
    )
