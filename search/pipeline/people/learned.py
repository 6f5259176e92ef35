"""Recommend with the recommender of the bundle: its blend recalls items, and its rankers rank them.

`evaluate --task recommend` measures the same code.
"""

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from behaviour.recall.blend import Blend
from rerank.recommend import features
from rerank.recommend.recommender import Recommender, groups_of
from search.channels.base import Query
from search.channels.popular import PopularChannel
from search.people.history import NO_HISTORY
from search.people.person import Surface
from search.people.weights import ALSO_BOUGHT, HISTORY, POPULAR, REPEAT
from search.pipeline.state import RECOMMENDED, RerankScores, SearchState
from search.ranking.candidates import Candidates
from search.recommending.learned import MICROSECONDS, Learned, LearnedList, public_channel
from search.request import DENSE

# The scores of the channels contain the learned weights.
LEARNED_WEIGHTS = dict.fromkeys((ALSO_BOUGHT, HISTORY, POPULAR, REPEAT), 1.0)


def learned_recommender(state: SearchState) -> Learned | None:
    """Return the bundle's recommender if it answers the request; None otherwise.

    It has learned what a person buys next, so it answers for the home page only.
    """
    recommending = state.request.recommending
    if recommending is None or recommending.surface is not Surface.HOME:
        return None
    return state.snapshot.learned


def learned_candidates(state: SearchState, learned: Learned, query: Query) -> Candidates:
    """Return the best items of the blend, and keep them in the state for the second stage."""
    history = state.history or NO_HISTORY
    allowed = state.snapshot.catalogue.all_alive if state.allowed is None else state.allowed
    bought = history.purchases.rows
    only_new = len(bought) > 0 and not allowed[bought].any()
    recommender = learned.recommenders[only_new]
    histories = learned.interactions(history)
    [group] = groups_of(histories).tolist()
    is_out = (learned.row_of < 0) | ~allowed[learned.row_of]
    candidates = recommender.candidates(
        histories,
        state.now // MICROSECONDS,
        sparse.csr_matrix(is_out[None]),
        depth=RECOMMENDED,
        bonus=_popular_here(state, learned, recommender.stages.blend, group, query),
    )
    numbers = candidates.rows[0][candidates.rows[0] >= 0]
    rows = learned.row_of[numbers]
    state.learned = LearnedList(recommender, candidates, rows)
    scores = _public_scores(recommender, candidates, len(rows))
    ranks = {name: _ranks(of_channel) for name, of_channel in scores.items()}
    scores[DENSE] = np.zeros(len(rows), np.float32)
    return Candidates(rows, candidates.recall_scores[0, : len(rows)], scores, ranks)


def learned_scores(state: SearchState) -> RerankScores:
    """Return the rankers' scores of the first candidates; pinned items without a score get 0."""
    assert state.learned is not None
    assert state.candidates is not None
    learned, first = state.learned, slice(state.rerank_target)
    rows = state.candidates.rows[first]
    scores = learned.recommender.rank(learned.candidates.first(learned.ranked))[0]
    known = dict(zip(learned.rows.tolist(), scores.tolist(), strict=False))
    logits = np.array([known.get(row, 0.0) for row in rows.tolist()], np.float32)
    of_channels = state.candidates.channel_scores.items()
    return RerankScores(logits, {name: scores[first] for name, scores in of_channels})


def _public_scores(
    recommender: Recommender, candidates: features.Candidates, count: int
) -> dict[str, Float32[np.ndarray, " items"]]:
    """Return the weighted scores of the channels of the contract."""
    blend = recommender.stages.blend
    [group] = groups_of(candidates.histories).tolist()
    weighted = candidates.channel_scores[0, :count] * blend.weights[group]
    scores = {name: np.zeros(count, np.float32) for name in LEARNED_WEIGHTS}
    for name, of_channel in zip(blend.channels, weighted.T, strict=True):
        scores[public_channel(name)] += of_channel
    others = candidates.recall_scores[0, :count] - sum(scores.values())
    scores[POPULAR] += others  # what is popular in the context and in the server's own events
    return scores


def _popular_here(
    state: SearchState, learned: Learned, blend: Blend, group: int, query: Query
) -> Float32[np.ndarray, " numbers"] | None:
    """Return what the context and the server's own events add to the score of each item.

    An item with the share x of the best item's events gains x times the weight of all windows, as
    if it had this share in each window.
    """
    channel = state.snapshot.channels.personal[POPULAR]
    assert isinstance(channel, PopularChannel)
    shares = channel.shares_here(query)
    if shares is None:
        return None
    of_windows = [public_channel(name) == POPULAR for name in blend.channels]
    weight = max(float(blend.weights[group][of_windows].sum()), 0.0)
    return learned.by_number(shares) * np.float32(weight)


def _ranks(scores: Float32[np.ndarray, " items"]) -> np.ndarray:
    """Return the rank of each item with a score above 0, from 1; 0 for the others."""
    ranks = np.empty(len(scores), np.int32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.where(scores > 0, ranks, 0).astype(np.int32)
