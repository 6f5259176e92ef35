"""Meet the person: read the history, and choose the weights of the channels."""

from collections.abc import Mapping
from dataclasses import replace

from search.errors import UnknownItemsError
from search.people.history import History
from search.people.live import events_of
from search.people.person import Recommending, Surface
from search.people.weights import USER_TOWER, channel_weights
from search.pipeline.people.learned import LEARNED_WEIGHTS, learned_recommender
from search.pipeline.state import SearchState
from search.ranking.weights import Weights

_TOGETHER = (Surface.BASKET, Surface.COMPLEMENTARY)
# Weight of a person's own events beside the items of the page or the basket.
_OWN_WEIGHTS: Mapping[Surface, float] = {
    Surface.HOME: 1.0,
    Surface.PRODUCT: 0.1,
    Surface.BASKET: 0.1,
    Surface.SIMILAR: 0.0,
    Surface.COMPLEMENTARY: 0.0,
}


def meet_person(state: SearchState) -> None:
    """Set the history and, for recommendations, the weights of the channels.

    Raises:
        UnknownItemsError: the catalogue has none of the items of a request for recommendations.
    """
    recommending = state.request.recommending
    if not state.snapshot.channels.personal or (
        recommending is None and state.request.person is None
    ):
        return
    with state.timer.step("history"):
        state.history = _history(state, recommending)
    if recommending is not None:
        if learned_recommender(state) is not None:
            state.weights = Weights(LEARNED_WEIGHTS, recall=0.0)
            return
        weights = channel_weights(
            recommending.surface,
            len(state.history.interests),
            has_user_tower=USER_TOWER in state.snapshot.channels.personal,
        )
        state.weights = replace(state.weights, channels=weights)


def leave_out(state: SearchState) -> None:
    """Leave out the items of the page, and what was just bought or seen, as the request asks.

    Pinned items stay.
    """
    recommending, history = state.request.recommending, state.history
    if recommending is None or history is None:
        return
    recent = history.recent(
        bought=recommending.bought_within_days, seen=recommending.seen_within_days
    )
    allowed = state.snapshot.catalogue.all_alive if state.allowed is None else state.allowed
    allowed = allowed.copy()
    allowed[recent] = False
    allowed[history.anchors] = False
    state.allowed = allowed
    if state.matched is not None:
        state.matched = state.snapshot.count(allowed)
    if state.rules is not None:
        state.rules = replace(state.rules, allowed=allowed)


def _history(state: SearchState, recommending: Recommending | None) -> History:
    request, catalogue = state.request, state.snapshot.catalogue
    events = events_of(request.person, state.people, state.now)
    if recommending is None:
        return History.of(events, catalogue, state.now)
    surface, anchors = recommending.surface, recommending.item_ids
    history = History.of(
        events,
        catalogue,
        state.now,
        anchors,
        together=surface in _TOGETHER,
        own_weight=_OWN_WEIGHTS[surface],
    )
    if anchors and not len(history.anchors):
        raise UnknownItemsError(tuple(anchors))
    return history
