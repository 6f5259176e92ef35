"""Filter: select the items that the search may return."""

from dataclasses import replace

from catalog.filters import Filter
from search.channels.base import Allowed
from search.pipeline.demotion import within_limits, without_mentions
from search.pipeline.rule_effects.active_rules import ActiveRules
from search.pipeline.state import SearchState
from search.rules import NO_RULES
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot
from search.understanding.interpretation import Effect, Exclusion, Interpretation, Limit


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

    def effect_of(part: Limit | Exclusion) -> Effect:
        nonlocal passed
        if part.effect != "filter":
            return part.effect
        if isinstance(part, Limit):
            left = within_limits(snapshot, (part,))
        else:
            left = without_mentions(snapshot, part)
        left &= snapshot.catalogue.all_alive if passed is None else passed
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


def passing_items(snapshot: Snapshot, filter: Filter | None, timer: StageTimer) -> Allowed:
    """Return a mask of the items that pass a filter; None without a filter."""
    if filter is None:
        return None
    with timer.stage("filter", len(snapshot.catalogue)):
        return snapshot.catalogue.matching(filter)
