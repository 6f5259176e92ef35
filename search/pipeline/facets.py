"""Facets: count values of all items that pass the filter, or of the recalled candidates."""

from dataclasses import replace

import numpy as np

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
    recalled = state.recalled_rows[: state.depths.recall]
    recalled = recalled[np.isin(recalled, state.ranking.rows)]  # those that are relevant enough
    with state.timer.stage("facets", len(facets)):
        state.facets = tuple(
            state.snapshot.catalogue.count(
                facet, state.allowed if facet.scope == "matched" else recalled
            )
            for facet in facets
        )
