"""Rank: order the candidates by final score, before rules."""

import numpy as np
from jaxtyping import Float32

from search.pipeline.state import RankedList, SearchState
from search.ranking.ordering import rerank_order, scores_before

# Weight of the sizes of the query that an item has, beside the reranker's logit. The cross-encoder
# reads numbers in pieces, and so confuses 1/2 with 1-1/2.
SIZE_WEIGHT = 0.25


def rank_candidates(state: SearchState) -> None:
    """Rank the candidates by final score: pins, then reranked candidates, then the others.

    Of the reranked candidates, those that have a code of the query come first.
    """
    candidates = state.candidates
    if candidates is None:
        return  # when browsing, `recall` has already set the ranking
    recall_scores, pins, scored = candidates.recall_scores, len(state.pins), len(state.scores)
    final = state.scores.logits + (np.float32(state.weights.recall) * recall_scores[:scored])
    final += _size_scores(state, scored)
    behind, exact = max(scored, pins), slice(pins, min(pins + state.exact, scored))
    final[exact] = scores_before(final[exact], final[exact.stop :])
    order, other_scores = rerank_order(final[pins:], recall_scores[behind:])
    pin_scores = np.concatenate([final[:pins], recall_scores[scored:pins]])
    ranked = np.concatenate([np.arange(pins), pins + order, np.arange(behind, len(recall_scores))])
    in_depth = state.recalled_rows[: state.depths.recall]
    recalled = int(np.count_nonzero(~np.isin(in_depth, state.pins)))
    state.ranking = RankedList(
        candidates.rows[ranked],
        np.concatenate([pin_scores, other_scores]),
        ranked,
        recalled,
        max(scored - pins, 0),
    )


def _size_scores(state: SearchState, scored: int) -> Float32[np.ndarray, " scored"]:
    """Return the weighted share of the query's sizes that each reranked candidate has."""
    index = state.snapshot.channels.lexical_index
    kinds = state.request.understanding & state.config.understanding
    scores = np.zeros(scored, np.float32)
    if not scored or index is None or state.query is None or not kinds.sizes:
        return scores
    assert state.candidates is not None
    sizes = index.sizes(state.query.text, state.query.language)
    for size in sizes:
        scores += index.scores({size: 1.0}, state.candidates.rows[:scored]) > 0
    return scores * np.float32(SIZE_WEIGHT / max(len(sizes), 1))
