"""Facets: count values of all items that pass the filter, or of the recalled candidates."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int32

from catalog.facets import Facet
from catalog.filters import Filter, without_field
from search.channels.base import Allowed
from search.pipeline.filter import within_filters
from search.pipeline.recall import first_candidates
from search.pipeline.rule_effects.active_rules import without_excluded
from search.pipeline.state import SearchState
from search.result import Degradation


def count_facets(state: SearchState) -> None:
    """Count each facet of the request over the items of its scope, if there is time."""
    facets = state.request.facets
    if not facets:
        return
    if state.budget.left("facets") <= 0:
        state.degradations.append(Degradation.FACETS_SKIPPED)
        return
    if state.candidates is None:  # browsing has no candidates: count all items that pass
        facets = tuple(replace(facet, scope="matched") for facet in facets)
    with state.timer.stage("facets", len(facets)):
        scopes = _Scopes(state)
        state.facets = tuple(
            state.snapshot.catalogue.count(
                facet,
                scopes.matched(filter) if facet.scope == "matched" else scopes.recalled(filter),
            )
            for facet, filter in ((facet, _filter_of(facet, state)) for facet in facets)
        )


def _filter_of(facet: Facet, state: SearchState) -> Filter | None:
    """Return the filter of the items that a facet counts."""
    filter = state.request.filter
    return without_field(filter, facet.field) if facet.ignore_own_filter else filter


class _Scopes:
    """The items that facets count, with the request's filter or with parts of it."""

    def __init__(self, state: SearchState) -> None:
        self._state = state
        filter = state.request.filter
        self._matched: dict[Filter | None, Allowed] = {filter: state.allowed}
        recalled = state.recalled_rows[: state.depths.recall]
        # Count those that are relevant enough.
        self._recalled = {filter: recalled[np.isin(recalled, state.ranking.rows)]}

    def matched(self, filter: Filter | None) -> Allowed:
        """Return a mask of the items that pass a filter and are not excluded."""
        if filter not in self._matched:
            catalogue, sources = self._state.snapshot.catalogue, self._state.rule_sources
            passed = None if filter is None else catalogue.matching(filter)
            passed = within_filters(self._state, passed)
            self._matched[filter], _ = without_excluded(sources, catalogue, passed)
        return self._matched[filter]

    def recalled(self, filter: Filter | None) -> Int32[np.ndarray, " recalled"]:
        """Return the rows that recall finds among the items that pass a filter."""
        if filter not in self._recalled:
            assert self._state.query is not None  # browsing counts all items
            candidates = first_candidates(self._state, self._state.query, self.matched(filter))
            self._recalled[filter] = candidates.rows[: self._state.depths.recall]
        return self._recalled[filter]
