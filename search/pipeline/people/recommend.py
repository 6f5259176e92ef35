"""Recommend: recall items for a person and for the items of a page, without a query."""

import numpy as np
from jaxtyping import Bool, Int32

from search.channels.base import Query
from search.channels.history import HistoryChannel
from search.people.history import NO_HISTORY
from search.people.person import Surface
from search.people.weights import HISTORY, POPULAR
from search.pipeline.people.learned import learned_candidates, learned_recommender
from search.pipeline.state import SearchState
from search.ranking.candidates import Candidates
from search.snapshot import Snapshot


def recommendation_query(state: SearchState, dim: int) -> Query:
    """Return the query of a request for recommendations, with vectors of a width `dim`."""
    trends = None
    if state.people is not None and state.weights.channels.get(POPULAR):
        trends = state.people.trends(state.snapshot.catalogue)
    return Query(
        "",
        np.zeros(dim, np.float32),
        history=state.history,
        context=state.request.context,
        trends=trends,
    )


def recommended(state: SearchState, query: Query) -> Candidates:
    """Return the candidates for a person and for the items of a page.

    The bundle's recommender finds them if it answers the request; otherwise the channels do.
    """
    recommending = state.request.recommending
    assert recommending is not None
    learned = learned_recommender(state)
    if learned is not None:
        return learned_candidates(state, learned, query)
    candidates = state.snapshot.channels.recall(
        query, state.depths.recall, state.weights.channels, allowed=state.allowed
    )
    if recommending.surface is Surface.COMPLEMENTARY:
        return _without_substitutes(state, candidates)
    return candidates


def _without_substitutes(state: SearchState, candidates: Candidates) -> Candidates:
    anchors = (state.history or NO_HISTORY).anchors
    is_substitute = np.zeros(len(candidates), np.bool_)
    for anchor in anchors.tolist():
        is_substitute |= substitutes(state.snapshot, anchor, candidates.rows)
    return candidates.at(np.flatnonzero(~is_substitute))


def substitutes(
    snapshot: Snapshot, item: int, rows: Int32[np.ndarray, " rows"]
) -> Bool[np.ndarray, " rows"]:
    """Return which items are substitutes of an item: a customer buys one of them, not both.

    These are items of the same group, items of the same category (the whole path), and items that
    are more alike than 999 of 1,000 random pairs of items.
    """
    catalogue, channels = snapshot.catalogue, snapshot.channels
    is_same = np.zeros(len(rows), np.bool_)
    for name in ("group_id", "category"):
        codes = catalogue.codes(name)
        if codes.size:
            [own] = codes.at(np.array([item], np.int32)).tolist()
            is_same |= (codes.at(rows) == own) & (own >= 0)
    history = channels.personal[HISTORY]
    assert isinstance(history, HistoryChannel)
    cosines = channels.vectors(rows) @ channels.vector(item)
    return np.asarray(is_same | (cosines > history.similarity.substitutes))
