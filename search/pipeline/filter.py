"""Filter: select the items that the search may return."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from catalog.filters import Filter
from search.channels.base import Allowed
from search.pipeline.demotion import within_limits, without_mentions
from search.pipeline.rule_effects.active_rules import ActiveRules
from search.pipeline.state import SearchState
from search.rules import NO_RULES
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot
from search.understanding.interpretation import Effect, Interpretation


def filter_items(state: SearchState) -> None:
    """Apply the filter and the exclusion rules of the request."""
    request, catalogue = state.request, state.snapshot.catalogue
    passed = passing_items(state.snapshot, request.filter, state.timer)
    if state.interpretation is not None:
        passed = _understood(state, state.interpretation, passed)
    state.allowed = catalogue.alive if passed is None else passed
    if request.rules != NO_RULES:
        with state.timer.stage("rules", len(catalogue)):
            state.rules = ActiveRules.of(request.rules, catalogue, passed, request.max_per_group)
        state.allowed = state.rules.allowed
    if passed is not None:
        state.matched = state.snapshot.count(state.allowed)


def _understood(state: SearchState, understood: Interpretation, passed: Allowed) -> Allowed:
    """Return the mask of the filter without items that the limits and exclusions filter out.

    A limit or an exclusion that would leave no item has no effect.
    """
    snapshot = state.snapshot

    def effect(effect: Effect, mask: Callable[[], Bool[np.ndarray, " rows"]]) -> Effect:
        nonlocal passed
        if effect != "filter":
            return effect
        left = mask() & (snapshot.catalogue.all_alive if passed is None else passed)
        if not left.any():
            return "none"
        passed = left
        return "filter"

    limits = tuple(
        replace(limit, effect=effect(limit.effect, lambda x=limit: within_limits(snapshot, (x,))))
        for limit in understood.limits
    )
    exclusions = tuple(
        replace(
            exclusion,
            effect=effect(exclusion.effect, lambda x=exclusion: without_mentions(snapshot, x)),
        )
        for exclusion in understood.exclusions
    )
    state.interpretation = replace(understood, limits=limits, exclusions=exclusions)
    return passed


def passing_items(snapshot: Snapshot, filter: Filter | None, timer: StageTimer) -> Allowed:
    """Return a mask of the items that pass a filter; None without a filter."""
    if filter is None:
        return None
    with timer.stage("filter", len(snapshot.catalogue)):
        return snapshot.catalogue.matching(filter)
