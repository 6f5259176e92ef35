"""Encode the person: the history as a vector of the user tower."""

from dataclasses import replace

from search.channels.base import Query
from search.channels.user_tower import UserTowerChannel
from search.errors import DeadlineExceededError
from search.people.weights import USER_TOWER
from search.pipeline.state import SearchState
from search.result import Degradation
from search.runtime.batching import call_scope
from towers.history.forward import UserForward


def with_user(state: SearchState, query: Query, users: UserForward | None) -> Query:
    """Return a query with the vector of the person, if a channel reads it.

    Without enough time, the vector is left out, and the other channels answer alone.
    """
    channel = state.snapshot.channels.personal.get(USER_TOWER)
    history, wanted = state.history, state.weights.channels.get(USER_TOWER, 0.0)
    if users is None or history is None or not wanted or not isinstance(channel, UserTowerChannel):
        return query
    user = channel.user(history, state.request.context)
    if user is None:
        return query
    try:
        with state.timer.step("user"), call_scope(state.budget.caller("recall")):
            [vector] = users([user])
    except DeadlineExceededError:
        state.timer.check()  # the deadline of the request itself
        state.degradations.append(Degradation.USER_SKIPPED)
        return query
    return replace(query, user=channel.user_vector(vector, history))
