"""Filter: select the items that the search may return."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from catalog.filters import Filter
from search.channels.base import Allowed
from search.pipeline.demotion import within_limits, without_mentions
from search.pipeline.rule_effects.active_rules import ActiveRules
from search.pipeline.state import SearchState
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot
from search.understanding.interpretation import Effect, Exclusion, Interpretation, Limit
from search.validation import check_roles


def filter_items(state: SearchState) -> None:
    """Apply the filter of the request, and the exclusion rules of the request and of a curation.

    Raises:
        RequestError: the request filters, counts or caps an attribute that is stored only.
    """
    request, catalogue = state.request, state.snapshot.catalogue
    check_roles(catalogue.roles, None, request.facets, request.rules)
    passed = passing_items(state.snapshot, request.filter, state.timer)
    if state.interpretation is not None:
        passed = _understood(state, state.interpretation, passed)
    state.allowed = catalogue.alive if passed is None else passed
    if sources := state.rule_sources:
        with state.timer.stage("rules", len(catalogue)):
            state.rules = ActiveRules.of(sources, catalogue, passed, state.max_per_group)
        state.allowed = state.rules.allowed
    if passed is not None:
        state.matched = state.snapshot.count(state.allowed)


def _understood(state: SearchState, understood: Interpretation, passed: Allowed) -> Allowed:
    """Return the mask of the filter without items that the limits and exclusions filter out.

    A limit or an exclusion that would leave no item has no effect.
    """

    def effect_of(part: Limit | Exclusion) -> Effect:
        nonlocal passed
        if part.effect != "filter":
            return part.effect
        left = _within(state.snapshot, part, passed)
        if not left.any():
            return "none"
        passed = left
        return "filter"

    state.interpretation = replace(
        understood,
        limits=tuple(replace(limit, effect=effect_of(limit)) for limit in understood.limits),
        exclusions=tuple(
            replace(exclusion, effect=effect_of(exclusion)) for exclusion in understood.exclusions
        ),
    )
    return passed


def within_filters(state: SearchState, passed: Allowed) -> Allowed:
    """Return the mask of a filter without items that the limits and exclusions filter out."""
    understood = state.interpretation
    if understood is None:
        return passed
    parts: tuple[Limit | Exclusion, ...] = (*understood.limits, *understood.exclusions)
    for part in parts:
        if part.effect == "filter":
            passed = _within(state.snapshot, part, passed)
    return passed


def _within(
    snapshot: Snapshot, part: Limit | Exclusion, passed: Allowed
) -> Bool[np.ndarray, " rows"]:
    """Return the mask of a filter without items that a limit or an exclusion filters out."""
    if isinstance(part, Limit):
        left = within_limits(snapshot, (part,))
    else:
        left = without_mentions(snapshot, part)
    base = snapshot.catalogue.all_alive if passed is None else passed
    within: Bool[np.ndarray, " rows"] = left & base
    return within


def passing_items(snapshot: Snapshot, filter: Filter | None, timer: StageTimer) -> Allowed:
    """Return a mask of the items that pass a filter; None without a filter.

    Raises:
        RequestError: the filter uses an attribute that is stored only.
    """
    if filter is None:
        return None
    check_roles(snapshot.catalogue.roles, filter)
    with timer.stage("filter", len(snapshot.catalogue)):
        return snapshot.catalogue.matching(filter)
