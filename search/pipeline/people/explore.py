"""Explore: show uncertain items at some positions of the list; see `search.exploration`."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from search.exploration.click_rates import Clicks, best_chances, posterior
from search.exploration.policy import explore
from search.exploration.request import Method
from search.pipeline.rule_effects.stock import is_out_of_stock
from search.pipeline.state import EXPLORED, SearchState


def explore_positions(state: SearchState) -> None:
    """Change the ranks to show, and set their propensities, if the request asks for exploration."""
    exploration = state.request.exploration
    share = 0.0 if exploration is None else min(exploration.share, state.config.max_exploration)
    if exploration is None or share <= 0:
        return
    with state.timer.step("explore"):
        shown = state.shown
        is_free = shown >= len(state.pins) + state.exact
        is_free[list(state.promoted)] = False
        free = np.flatnonzero(is_free)
        pool = _pool(state, shown[free])
        weights = np.zeros(len(free))
        if pool.any():
            weights[pool] = _weights(state, exploration.method, shown[free[pool]])
        rng = np.random.default_rng(exploration.seed)
        explored = explore(weights, share, rng, len(free))
        state.shown = shown.copy()
        state.shown[free] = shown[free[explored.order]]
        state.propensities = np.ones(len(shown))
        state.propensities[free] = explored.propensity
        state.exploring = np.zeros(len(shown), np.bool_)
        state.exploring[free] = explored.exploring


def _pool(state: SearchState, ranks: Int64[np.ndarray, " free"]) -> Bool[np.ndarray, " free"]:
    """Return which of the ranks an exploring position may show."""
    # Items beyond the recall depth are not in the lists of all pages.
    pool = ranks < len(state.pins) + state.ranking.recalled
    pool &= np.arange(len(ranks)) < EXPLORED
    if state.in_stock_first:
        pool &= ~is_out_of_stock(state.snapshot.catalogue, state.ranking.rows[ranks])
    return np.asarray(pool)


def _weights(
    state: SearchState, method: Method, ranks: Int64[np.ndarray, " pool"]
) -> Float64[np.ndarray, " pool"]:
    """Return the weight of each item of the pool in a draw."""
    if method is Method.EPSILON_GREEDY:
        return np.ones(len(ranks))
    predicted = np.ones(len(ranks)) if state.predicted is None else state.predicted[ranks]
    known = Clicks.unknown(len(ranks))
    if state.people is not None:
        catalogue, rows = state.snapshot.catalogue, state.ranking.rows[ranks]
        item_ids = [catalogue.id(row) for row in rows.tolist()]
        known = state.people.clicks(state.request.query, item_ids)
    return best_chances(*posterior(predicted, known))
