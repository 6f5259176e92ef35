"""Filter: which items the search may find."""

from search.pipeline.active_rules import ActiveRules
from search.pipeline.state import SearchState
from search.rules import NO_RULES


def filter_items(state: SearchState) -> None:
    """Apply the filter of the request, and the exclusions of its rules."""
    request, catalogue = state.request, state.snapshot.catalogue
    passed = None
    if request.filter is not None:
        with state.timer.stage("filter", len(catalogue)):
            passed = catalogue.matching(request.filter)
    state.allowed = catalogue.alive if passed is None else passed
    if request.rules != NO_RULES:
        with state.timer.stage("rules", len(catalogue)):
            state.rules = ActiveRules.of(request.rules, catalogue, passed, request.max_per_group)
        state.allowed = state.rules.allowed
    if passed is not None:
        state.matched = state.snapshot.count(state.allowed)
