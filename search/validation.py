"""Checks of request fields. Each error names the field and says which values are allowed."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from base.errors import RequestError, check_count, check_range
from catalog import facets as facet_checks
from catalog import filters
from catalog.attribute_roles import ATTRIBUTE, AttributeRoles
from catalog.facets import Facet
from catalog.fields import MAX_CATEGORY_LEVEL
from catalog.item_text import normalise_query
from catalog.items import ID, REQUIRED, Item, check_id, check_item
from search.rules import (
    CAPPED_COLUMNS,
    CHARGED,
    MAX_BOOSTS,
    MAX_BUDGET,
    MAX_CAPS,
    MAX_EXCLUDED_ITEM_IDS,
    MAX_PER_VALUE,
    MAX_PINS,
    MAX_PROMOTED_ITEMS,
    MAX_PROMOTED_SHARE,
    MAX_PROMOTION_ID,
    MAX_PROMOTIONS,
    MAX_STRENGTH,
    NO_RULES,
    Boost,
    Cap,
    Pin,
    Rules,
)

MAX_QUERY_CHARACTERS = 2_000
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # RFC 5646, without its exceptions


def check_language(language: str, path: str) -> None:
    """Refuse a language that is not a tag such as "en" or "pt-BR"; "" means no language."""
    if language and not _LANGUAGE.fullmatch(language):
        raise RequestError(path, "is no language tag; give a tag such as en or pt-BR")


def check_query(text: str, path: str) -> None:
    """Refuse a query that is empty or too long."""
    if not text.strip():
        raise RequestError(path, "is empty; give the words to search for")
    # The normal form of a text can be eighteen times as long, so both are limited.
    characters = max(len(text), len(normalise_query(text[: MAX_QUERY_CHARACTERS + 1])))
    check_count(characters, path, 1, MAX_QUERY_CHARACTERS, "characters")


def check_prefix(text: str, most: int) -> None:
    """Refuse a typed text that is blank or longer than `most` characters."""
    if not text.strip():
        raise RequestError("prefix", "is empty; give the text typed so far")
    check_count(
        max(len(text), len(normalise_query(text[: most + 1]))), "prefix", 1, most, "characters"
    )


def check_vector(values: Float32[np.ndarray, " dim"], path: str) -> None:
    """Refuse a vector that is all zeros or has a number that is not finite."""
    if not np.isfinite(values).all():
        raise RequestError(path, "has a number that is not finite; give finite numbers")
    if not values.any():
        raise RequestError(path, "is all zeros; give at least one other number")


def check_filter(filter: filters.Filter | None, path: str) -> None:
    """Refuse a filter that is invalid for every catalogue."""
    if filter is not None:
        filters.check(filter, path)


def check_facets(facets: Sequence[Facet]) -> None:
    """Refuse too many facets, and facets that are invalid for every catalogue."""
    check_count(len(facets), "facets", None, facet_checks.MAX_FACETS)
    for index, facet in enumerate(facets):
        facet_checks.check(facet, f"facets[{index}]")


def check_roles(
    roles: AttributeRoles,
    filter: filters.Filter | None,
    facets: Sequence[Facet] = (),
    rules: Rules = NO_RULES,
) -> None:
    """Refuse the filters, facets and caps of a valid request that use attributes stored only."""
    if not roles.stored_only:
        return
    trees = [("filter", filter), ("rules.excluded", rules.excluded)]
    trees += [(f"rules.boosts[{n}].filter", boost.filter) for n, boost in enumerate(rules.boosts)]
    for path, tree in trees:
        for field, field_path in filters.fields_of(tree, path) if tree is not None else ():
            roles.check_field(field, field_path)
    for index, facet in enumerate(facets):
        roles.check_field(facet.field, f"facets[{index}].field")
    for index, cap in enumerate(rules.caps):
        roles.check_field(cap.field, f"rules.caps[{index}].field")


def check_ids(item_ids: Sequence[str], path: str) -> None:
    """Refuse ids that are empty."""
    for index, item_id in enumerate(item_ids):
        check_id(item_id, f"{path}[{index}]")


def check_rules(rules: Rules) -> None:
    """Refuse rules with values out of their limits."""
    excluded = rules.excluded_item_ids
    check_count(len(excluded), "rules.excluded_item_ids", None, MAX_EXCLUDED_ITEM_IDS)
    check_count(len(rules.boosts), "rules.boosts", None, MAX_BOOSTS)
    check_count(len(rules.caps), "rules.caps", None, MAX_CAPS)
    check_count(len(rules.pins), "rules.pins", None, MAX_PINS)
    check_ids(excluded, "rules.excluded_item_ids")
    check_range(rules.diversity, "rules.diversity", 0, 1)
    check_filter(rules.excluded, "rules.excluded")
    for index, boost in enumerate(rules.boosts):
        _check_boost(f"rules.boosts[{index}]", boost)
    for index, cap in enumerate(rules.caps):
        _check_cap(f"rules.caps[{index}]", cap)
    _check_pins(rules.pins)
    _check_promotions(rules)


def check_candidates(candidates: Sequence[str | Item], most: int) -> None:
    """Refuse candidates without an id or title, and two candidates with the same id."""
    check_count(len(candidates), "candidates", 1, most)
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
    check_count(len(inputs), "inputs", 1, most)
    for index, query_or_item in enumerate(inputs):
        if isinstance(query_or_item, str):
            check_query(query_or_item, f"inputs[{index}].query")
        else:
            check_item(query_or_item, f"inputs[{index}].item", REQUIRED - {ID})


def _check_boost(path: str, boost: Boost) -> None:
    check_filter(boost.filter, f"{path}.filter")
    check_range(boost.strength, f"{path}.strength", -MAX_STRENGTH, MAX_STRENGTH)
    if not boost.strength:
        raise RequestError(f"{path}.strength", "is 0; give a number other than 0")


def _check_cap(path: str, cap: Cap) -> None:
    filters.check_field(cap.field, f"{path}.field")
    if cap.field not in CAPPED_COLUMNS and not cap.field.startswith(ATTRIBUTE):
        raise RequestError(
            f"{path}.field", "cannot be capped; give brand, category, group_id or an attribute"
        )
    check_range(cap.max_results, f"{path}.max_results", 1, MAX_PER_VALUE)
    check_range(cap.category_level, f"{path}.category_level", 0, MAX_CATEGORY_LEVEL)
    if cap.category_level and cap.field != "category":
        raise RequestError(
            f"{path}.category_level", f"is {cap.category_level}; give 0, or the field category"
        )


def _check_pins(pins: Sequence[Pin]) -> None:
    ids, positions = set[str](), set[int]()
    for index, pin in enumerate(pins):
        path = f"rules.pins[{index}]"
        check_range(pin.position, f"{path}.position", 1, MAX_PINS)
        check_id(pin.item_id, f"{path}.item_id")
        if pin.item_id in ids:
            raise RequestError(f"{path}.item_id", "is in an earlier pin; give each item once")
        if pin.position in positions:
            raise RequestError(f"{path}.position", "is in an earlier pin; give each position once")
        ids.add(pin.item_id)
        positions.add(pin.position)


def _check_promotions(rules: Rules) -> None:
    check_count(len(rules.promotions), "rules.promotions", None, MAX_PROMOTIONS)
    check_range(rules.promoted_share, "rules.promoted_share", 0, MAX_PROMOTED_SHARE)
    ids = set[str]()
    for index, promotion in enumerate(rules.promotions):
        path = f"rules.promotions[{index}]"
        check_id(promotion.promotion_id, f"{path}.promotion_id")
        check_count(
            len(promotion.promotion_id),
            f"{path}.promotion_id",
            None,
            MAX_PROMOTION_ID,
            "characters",
        )
        if promotion.promotion_id in ids:
            problem = "is in an earlier promotion; give each id once"
            raise RequestError(f"{path}.promotion_id", problem)
        ids.add(promotion.promotion_id)
        check_count(len(promotion.item_ids), f"{path}.item_ids", 1, MAX_PROMOTED_ITEMS)
        check_ids(promotion.item_ids, f"{path}.item_ids")
        check_range(promotion.min_relevance, f"{path}.min_relevance", 0, 1)
        for name in ("daily_budget", "cost"):
            if not 0 < (value := getattr(promotion, name)) <= MAX_BUDGET:
                problem = f"is {value}; give a number above 0, and at most 10^12"
                raise RequestError(f"{path}.{name}", problem)
        if promotion.charged not in CHARGED:
            raise RequestError(f"{path}.charged", f"is unknown; give {' or '.join(CHARGED)}")
