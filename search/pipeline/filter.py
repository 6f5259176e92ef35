"""Filter: select the items that the search may return."""

from catalog.filters import Filter
from search.channels.base import Allowed
from search.pipeline.rule_effects.active_rules import ActiveRules
from search.pipeline.state import SearchState
from search.rules import NO_RULES
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot


def filter_items(state: SearchState) -> None:
    """Apply the filter and the exclusion rules of the request."""
    request, catalogue = state.request, state.snapshot.catalogue
    passed = passing_items(state.snapshot, request.filter, state.timer)
    state.allowed = catalogue.alive if passed is None else passed
    if request.rules != NO_RULES:
        with state.timer.stage("rules", len(catalogue)):
            state.rules = ActiveRules.of(request.rules, catalogue, passed, state.max_per_group)
        state.allowed = state.rules.allowed
    if passed is not None:
        state.matched = state.snapshot.count(state.allowed)


def passing_items(snapshot: Snapshot, filter: Filter | None, timer: StageTimer) -> Allowed:
    """Return a mask of the items that pass a filter; None without a filter."""
    if filter is None:
        return None
    with timer.stage("filter", len(snapshot.catalogue)):
        return snapshot.catalogue.matching(filter)
