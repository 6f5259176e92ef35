"""Explain: the reasons of recommended items, and the signals that an answer is based on."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int32

from search.channels.base import PersonalChannel, Query
from search.channels.popular import PopularChannel
from search.people.history import NO_HISTORY
from search.people.person import Surface
from search.people.reasons import Cause, Reason, Signal
from search.people.weights import ALSO_BOUGHT, POPULAR
from search.pipeline.state import SearchState
from search.result import Hit

_MOST_CAUSES = 3
_SMALLEST_SHARE = 0.1  # reasons that explain less of a score are left out


def explain(state: SearchState) -> None:
    """Add the reasons of each recommended item to the result, and the signals."""
    request, result = state.request, state.result
    assert result is not None
    if request.recommending is None and request.person is None:
        return
    if request.recommending is not None:
        rows = state.snapshot.catalogue.rows([hit.item_id for hit in result.hits])
        popular = _have_events(state, rows)
        explained = zip(result.hits, rows.tolist(), popular.tolist(), strict=True)
        result = replace(result, hits=tuple(_explained(state, *each) for each in explained))
    used, missing = _signals(state)
    state.result = replace(result, signals=used, missing=missing)


def _have_events(
    state: SearchState, rows: Int32[np.ndarray, " items"]
) -> Bool[np.ndarray, " items"]:
    """Return which items are popular: the number of ratings is part of a score, but no reason."""
    popular = state.snapshot.channels.personal.get(POPULAR)
    if state.query is None or not isinstance(popular, PopularChannel):
        return np.zeros(len(rows), np.bool_)
    return popular.have_events(state.query, rows)


def _explained(state: SearchState, hit: Hit, row: int, is_popular: bool) -> Hit:
    """Return a hit with its reasons: the channels by their part of the score."""
    assert state.query is not None
    weights = state.weights.channels
    parts = {
        name: max(weights[name] * hit.channel_scores.get(name, 0.0), 0.0)
        for name in state.snapshot.channels.personal
        if weights.get(name)
    }
    total = sum(parts.values())
    reasons = tuple(
        Reason(channel.reason, part / total, _causes(state, state.query, channel, row))
        for name, part in sorted(parts.items(), key=lambda entry: -entry[1])
        if total > 0 and part / total >= _SMALLEST_SHARE
        for channel in (state.snapshot.channels.personal[name],)
        if name != POPULAR or is_popular
    )
    return replace(hit, reasons=reasons)


def _causes(
    state: SearchState, query: Query, channel: PersonalChannel, row: int
) -> tuple[Cause, ...]:
    history, catalogue = state.history or NO_HISTORY, state.snapshot.catalogue
    items = (
        (cause, catalogue.item(cause))
        for cause in channel.causes(query, row).rows[:_MOST_CAUSES].tolist()
    )
    return tuple(
        Cause(item.item_id, item.title, history.strongest_type(cause)) for cause, item in items
    )


def _signals(state: SearchState) -> tuple[tuple[Signal, ...], tuple[Signal, ...]]:
    """Return the signals that the order is based on, and those that are not known."""
    request, history = state.request, state.history or NO_HISTORY
    personal = state.snapshot.channels.personal
    weights = {name: state.weights.channels.get(name, 0.0) for name in personal}
    if state.query is None or not any(weights.values()):
        return (), (Signal.HISTORY,)  # the order does not depend on people
    known: dict[Signal, bool] = {}
    surface = None if request.recommending is None else request.recommending.surface
    if request.person is not None and surface not in (Surface.SIMILAR, Surface.COMPLEMENTARY):
        known[Signal.HISTORY] = bool(history.counts.any())
    if len(history.anchors):
        known[Signal.ITEMS] = True
    if weights.get(ALSO_BOUGHT):
        ranks = state.candidates.ranks.get(ALSO_BOUGHT) if state.candidates is not None else None
        known[Signal.BOUGHT_TOGETHER] = ranks is not None and bool(ranks.any())
    popular = personal.get(POPULAR)
    if isinstance(popular, PopularChannel) and weights[POPULAR]:
        trends = state.query.trends
        known[Signal.POPULARITY] = popular.counts.has_events or bool(
            trends is not None and len(trends.rows)
        )
        if request.context:
            known[Signal.CONTEXT] = bool(popular.counts.segments(request.context))
    used = tuple(signal for signal, is_known in known.items() if is_known)
    return used, tuple(signal for signal, is_known in known.items() if not is_known)
