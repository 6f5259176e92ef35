"""Sorting: put the recalled items in the order that the request asks for."""

from search.pipeline.state import SearchState
from search.ranking.sorting import sorted_positions


def sort_results(state: SearchState) -> None:
    """Set the order of the list, if the request asks for an order.

    The list then has only recalled items or, when browsing, all items that pass the filter. Items
    with equal values keep the order of their ranks. Pinned items are not sorted.
    """
    keys = state.request.sort_keys
    if not keys:
        return
    pins, ranking = len(state.pins), state.ranking
    rows = ranking.rows[pins : pins + ranking.recalled]
    with state.timer.stage("sort", len(rows)):
        state.order = pins + sorted_positions(keys, state.snapshot.catalogue, rows)
