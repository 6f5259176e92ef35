"""Checks of request fields. Each error names the field and says which values are allowed."""

import math
from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float32

from catalog import facets as facet_checks
from catalog import filters
from catalog.facets import Facet
from catalog.fields import DISTINCT
from catalog.item_text import normalise_query
from catalog.items import ID, ITEM_FIELDS, Item, ItemField
from search.errors import RequestError
from search.rules import (
    MAX_BOOSTS,
    MAX_CAPS,
    MAX_EXCLUDED,
    MAX_LEVEL,
    MAX_PER_VALUE,
    MAX_PIN,
    MAX_STRENGTH,
    Boost,
    Cap,
    Pin,
    Rules,
)

MAX_QUERY_CHARACTERS = 2_000
MAX_ITEM_CHARACTERS = 50_000  # in all texts of an item together
REQUIRED = frozenset(field.name for field in ITEM_FIELDS if field.required)


def check_query(text: str, field: str) -> None:
    """Refuse a query that is empty or too long."""
    if not text.strip():
        raise RequestError(field, "is empty; give the words to search for")
    # The normal form of a text can be eighteen times as long, so both are limited.
    characters = max(len(text), len(normalise_query(text[: MAX_QUERY_CHARACTERS + 1])))
    if characters > MAX_QUERY_CHARACTERS:
        raise RequestError(
            field, f"has {characters:,} characters; at most {MAX_QUERY_CHARACTERS:,} are allowed"
        )


def check_vector(values: Float32[np.ndarray, " dim"], field: str) -> None:
    """Refuse a vector that is all zeros or has a number that is not finite."""
    if not np.isfinite(values).all():
        raise RequestError(field, "holds a number that is not finite")
    if not values.any():
        raise RequestError(field, "is all zeros, which has no direction")


def check_filter(filter: filters.Filter | None, path: str) -> None:
    """Refuse a filter that is invalid for every catalogue."""
    try:
        if filter is not None:
            filters.check(filter, path)
    except filters.FilterError as error:
        raise RequestError(error.path, error.problem) from None


def check_facets(facets: Sequence[Facet]) -> None:
    """Refuse too many facets, and facets that are invalid for every catalogue."""
    _check_at_most("facets", len(facets), facet_checks.MAX_FACETS)
    try:
        for index, facet in enumerate(facets):
            facet_checks.check(facet, f"facets[{index}]")
    except filters.FilterError as error:
        raise RequestError(error.path, error.problem) from None


def check_rules(rules: Rules) -> None:
    """Refuse rules with values out of their limits."""
    _check_at_most("rules.excluded_item_ids", len(rules.excluded_ids), MAX_EXCLUDED)
    _check_at_most("rules.boosts", len(rules.boosts), MAX_BOOSTS)
    _check_at_most("rules.caps", len(rules.caps), MAX_CAPS)
    _check_at_most("rules.pins", len(rules.pins), MAX_PIN)
    for index, item_id in enumerate(rules.excluded_ids):
        check_id(item_id, f"rules.excluded_item_ids[{index}]")
    if not 0 <= rules.diversity <= 1:  # NaN is refused too
        raise RequestError("rules.diversity", f"is {rules.diversity}; give 0 to 1")
    check_filter(rules.excluded, "rules.excluded")
    for index, boost in enumerate(rules.boosts):
        _check_boost(f"rules.boosts[{index}]", boost)
    for index, cap in enumerate(rules.caps):
        _check_cap(f"rules.caps[{index}]", cap)
    _check_pins(rules.pins)


def check_candidates(candidates: Sequence[str | Item], most: int) -> None:
    """Refuse candidates without an id or title, and two candidates with the same id."""
    check_count("candidates", len(candidates), most)
    seen = set()
    for index, candidate in enumerate(candidates):
        path = f"candidates[{index}]"
        if isinstance(candidate, str):
            item_id = candidate
            check_id(item_id, f"{path}.item_id")
        else:
            item_id = candidate.item_id
            check_item(candidate, f"{path}.item")
        if item_id in seen:
            raise RequestError(path, "has the id of an earlier candidate; give each item once")
        seen.add(item_id)


def check_inputs(inputs: Sequence[str | Item], most: int) -> None:
    """Refuse empty queries and items without a title."""
    check_count("inputs", len(inputs), most)
    for index, query_or_item in enumerate(inputs):
        if isinstance(query_or_item, str):
            check_query(query_or_item, f"inputs[{index}].query")
        else:
            check_item(query_or_item, f"inputs[{index}].item", REQUIRED - {ID})


def check_item(item: Item, path: str, required: Collection[str] = REQUIRED) -> None:
    """Refuse an item that lacks a required field or breaks a limit of `ITEM_FIELDS`."""
    characters = 0
    for field in ITEM_FIELDS:
        value, field_path = getattr(item, field.name), f"{path}.{field.name}"
        if field.name in required and not value.strip():
            raise RequestError(field_path, "is empty; every item needs a value")
        if field.type is str:
            characters += len(value or "")
        elif field.type is dict:
            characters += sum(map(len, (*value.keys(), *value.values())))
        elif field.type in (float, int) and value is not None:
            _check_number(value, field, field_path)
    if characters > MAX_ITEM_CHARACTERS:
        raise RequestError(path, f"has more than {MAX_ITEM_CHARACTERS:,} characters of text")


def check_range(field: str, value: int, low: int, high: int) -> None:
    """Refuse a number out of its range."""
    if not low <= value <= high:
        raise RequestError(field, f"is {value}; give {low} to {high}")


def _check_number(number: int | float, field: ItemField, path: str) -> None:
    low = field.minimum if field.limits_in_requests else None
    high = field.maximum if field.limits_in_requests else None
    if low is not None and high is not None and not low <= number <= high:  # also refuses NaN
        raise RequestError(path, f"must be from {low:g} to {high:g}")
    if not math.isfinite(number):
        raise RequestError(path, "must be finite")
    if low is not None and number < low:
        raise RequestError(path, f"must be at least {low:g}" if low else "must not be negative")
    if high is not None and number > high:
        raise RequestError(path, f"must be at most {high:g}")


def _check_boost(path: str, boost: Boost) -> None:
    check_filter(boost.filter, f"{path}.filter")
    if not 0 < abs(boost.strength) <= MAX_STRENGTH:  # NaN is refused too
        raise RequestError(
            f"{path}.strength",
            f"is {boost.strength}; give -{MAX_STRENGTH:g} to {MAX_STRENGTH:g}, but not 0",
        )


def _check_cap(path: str, cap: Cap) -> None:
    try:
        kind = filters.check_field(cap.field, f"{path}.field")
    except filters.FilterError as error:
        raise RequestError(error.path, error.problem) from None
    if kind != "text" or cap.field in DISTINCT:
        raise RequestError(
            f"{path}.field", "cannot be capped; give brand, category, group_id or an attribute"
        )
    check_range(f"{path}.max_results", cap.most, 1, MAX_PER_VALUE)
    check_range(f"{path}.category_level", cap.level, 0, MAX_LEVEL)
    if cap.level and cap.field != "category":
        raise RequestError(f"{path}.category_level", "is for the category alone; leave it out")


def _check_pins(pins: Sequence[Pin]) -> None:
    ids, positions = set[str](), set[int]()
    for index, pin in enumerate(pins):
        path = f"rules.pins[{index}]"
        check_range(f"{path}.position", pin.position, 1, MAX_PIN)
        check_id(pin.item_id, f"{path}.item_id")
        if pin.item_id in ids:
            raise RequestError(f"{path}.item_id", "is pinned already; pin each item once")
        if pin.position in positions:
            raise RequestError(f"{path}.position", "is taken already; pin one item to each")
        ids.add(pin.item_id)
        positions.add(pin.position)


def check_id(item_id: str, path: str) -> None:
    """Refuse an empty id."""
    if not item_id:
        raise RequestError(path, "is empty; name the item")


def _check_at_most(field: str, count: int, most: int) -> None:
    if count > most:
        raise RequestError(field, f"has {count} entries; at most {most:,} are allowed")


def check_count(field: str, count: int, most: int) -> None:
    """Refuse no entries, and too many."""
    if not 1 <= count <= most:
        raise RequestError(field, f"has {count} entries; give 1 to {most}")
