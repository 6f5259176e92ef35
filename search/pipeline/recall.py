"""Recall: find candidates for a query or a person, or list items by popularity (browsing)."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int32

from catalog.filters import Equals
from search.channels.base import Allowed, Query
from search.channels.fusion import recall_scores
from search.encoding import QueryEncoder
from search.pipeline.demotion import demoted
from search.pipeline.people.encode import with_user
from search.pipeline.people.recommend import recommendation_query, recommended
from search.pipeline.rule_effects.caps import capped
from search.pipeline.state import RankedList, SearchState
from search.ranking.candidates import Candidates
from search.ranking.ordering import scores_before
from towers.history.forward import UserForward


class Recall:
    """Finds candidates. Pinned items come first, even if recall does not find them."""

    def __init__(
        self, encoder: QueryEncoder, deepest: int, users: UserForward | None = None
    ) -> None:
        """Prepare to find candidates.

        Args:
            encoder: Encodes queries.
            deepest: Number of candidates for the last possible page.
            users: Encodes people; None if the bundle has no user tower.
        """
        self._encoder = encoder
        self._deepest = deepest
        self._users = users

    def __call__(self, state: SearchState) -> None:
        """Set the candidates or, when browsing, the ranking."""
        if state.request.recommending is not None:
            query = recommendation_query(state, self._encoder.dim)
            query = with_user(state, query, self._users)
            with state.timer.stage("recall") as stage:
                candidates = recommended(state, query)
                wanted = 0 if state.learned is None else state.learned.ranked
                stage.candidates, stage.plan = len(candidates), candidates.plan
        elif state.interpretation is None:
            _browse(state)
            return
        else:
            with state.timer.stage("encode") as stage:
                query = self._encoder.query(state.interpretation, stage)
            query = replace(query, history=state.history, context=state.request.context)
            query = with_user(state, query, self._users)
            with state.timer.stage("recall") as stage:
                candidates = _recall(state, query, self._deepest)
                candidates, wanted = demoted(state, candidates)
                candidates, wanted = _exact_first(state, query, candidates, wanted)
                stage.candidates, stage.plan = len(candidates), candidates.plan
        state.query, state.recalled_rows = query, candidates.rows
        target = min(state.depths.rerank, wanted)
        if state.rules is not None:
            candidates, target = _first(state, state.pins, query, candidates, target)
        state.candidates = candidates
        state.rerank_target = min(target, state.depths.rerank_limit)


def first_candidates(state: SearchState, query: Query, allowed: Allowed) -> Candidates:
    """Return the candidates up to the recall depth, or all allowed items if there are fewer.

    If the channels find fewer candidates, the nearest other items are appended.
    """
    channels, depth = state.snapshot.channels, state.depths.recall
    candidates = channels.recall(query, depth, state.weights.channels, allowed=allowed)
    is_search = state.request.recommending is None
    if is_search and len(candidates) < min(depth, state.snapshot.count(allowed)):
        candidates = channels.deepened(candidates, query, depth, allowed)
    return candidates


def _recall(state: SearchState, query: Query, deepest: int) -> Candidates:
    """Return enough candidates for the page and one more item, or all items if fewer match.

    The channels find candidates up to the recall depth. For a page beyond this depth, the nearest
    other items are appended. If groups or rules remove too many candidates, more of the nearest
    items are appended. All pages beyond the recall depth use the same list and rerank the same
    first candidates, so no item is on two pages. With an order, the list has only the candidates
    up to the recall depth.
    """
    channels, allowed, depth = state.snapshot.channels, state.allowed, state.depths.recall
    candidates = channels.recall(query, depth, state.weights.channels, allowed=allowed)
    if state.request.order_by:
        return candidates
    matches = state.snapshot.count(state.allowed)
    first_depth = depth if state.request.end < depth else deepest
    for deeper in (first_depth, deepest, matches):
        too_few = not _suffices(state, candidates.rows)
        if len(candidates) < min(deeper, matches) and (deeper == first_depth or too_few):
            if deeper == matches and allowed is None:
                # Without a mask, the dense channel would search the index, which is not compiled
                # for so many items. With a mask, it uses the index only up to `MAX_FETCH` items.
                allowed = state.snapshot.catalogue.all_alive
            candidates = channels.deepened(candidates, query, deeper, allowed)
    return candidates


def _suffices(state: SearchState, rows: Int32[np.ndarray, " candidates"]) -> bool:
    """Return whether candidates fill the page and one position more."""
    request = state.request
    if state.rules is not None:
        return state.rules.suffices(rows, request.end)
    catalogue = state.snapshot.catalogue
    return len(capped(catalogue, rows, state.max_per_group, request.end + 1)) > request.end


def _exact_first(
    state: SearchState, query: Query, candidates: Candidates, wanted: int
) -> tuple[Candidates, int]:
    """Put the items that have a code of the query before all other candidates.

    Returns:
        The candidates, and the number of wanted candidates within the recall depth.
    """
    rows, pins = state.codes.rows, state.pins
    if state.allowed is not None:
        rows = rows[state.allowed[rows]]
    rows = rows[~np.isin(rows, pins)]
    if not len(rows):
        return candidates, wanted
    state.exact = len(rows)
    joined, wanted = _first(state, rows, query, candidates, wanted)
    scores = joined.recall_scores
    order = np.concatenate(
        [np.argsort(-scores[: len(rows)], kind="stable"), np.arange(len(rows), len(scores))]
    )
    joined = joined.at(order)
    scores = joined.recall_scores
    scores[: len(rows)] = scores_before(scores[: len(rows)], scores[len(rows) :])
    return joined, wanted


def _first(
    state: SearchState,
    first: Int32[np.ndarray, " first"],
    query: Query,
    candidates: Candidates,
    target: int,
) -> tuple[Candidates, int]:
    """Put some items before all other candidates, even if recall did not find them.

    Returns:
        The candidates, and the number of candidates to rerank. This number counts all first items,
        and the others among the first `target` candidates; 0 if `target` is 0.
    """
    channels = state.snapshot.channels
    is_other = ~np.isin(candidates.rows, first)
    recalled = candidates.rows[: state.depths.recall].tolist()
    positions = {row: position for position, row in enumerate(recalled)}
    first_positions = np.array([positions.get(row, -1) for row in first.tolist()], np.int64)
    ranks: dict[str, Int32[np.ndarray, " candidates"]] = {}
    for channel, of_channel in candidates.ranks.items():
        # An item that was not recalled has position -1, so it gets the 0 appended at the end.
        of_first = np.append(of_channel, np.int32(0))[first_positions]
        ranks[channel] = np.concatenate([of_first, of_channel[is_other]])
    scores = channels.scores(query, first)
    joined = Candidates(
        np.concatenate([first, candidates.rows[is_other]]),
        np.concatenate(
            [recall_scores(scores, state.weights.channels), candidates.recall_scores[is_other]]
        ),
        {
            channel: np.concatenate([scores[channel], of_channel[is_other]])
            for channel, of_channel in candidates.channel_scores.items()
        },
        ranks,
        candidates.plan,
    )
    others = int(np.count_nonzero(is_other[:target]))
    return joined, len(first) + others if target else 0


def _browse(state: SearchState) -> None:
    """Rank all items that pass the filter by popularity, after the pinned items.

    The score of an item is its number of ratings or, with rules, log(1 + number of ratings).
    """
    popularity, mask = state.snapshot.popularity, _mask(state)
    with state.timer.stage("browse", state.snapshot.count(state.allowed)):
        if state.in_stock_first:
            is_out = state.snapshot.catalogue.matching(Equals("in_stock", False))
            in_order = [popularity.rows(mask & ~is_out), popularity.rows(mask & is_out)]
            rows = np.concatenate(in_order)
        else:
            rows = popularity.rows(mask)
        scores = np.zeros(0)
        if state.rules is not None:
            rows = np.concatenate([state.pins, rows[~np.isin(rows, state.pins)]])
            scores = np.log1p(popularity.scores(rows))
        recalled = len(rows) - len(state.pins)
        state.ranking = RankedList(rows, scores, np.zeros(0, np.int64), recalled, 0)


def _mask(state: SearchState) -> Bool[np.ndarray, " items"]:
    return state.snapshot.catalogue.all_alive if state.allowed is None else state.allowed
