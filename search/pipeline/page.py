"""Page: make the hits of one page and the result of the search."""

import numpy as np

from search.pipeline.state import SearchState
from search.result import Hit, SearchResult


def cut_page(state: SearchState) -> None:
    """Select the page of the ranking, and set the result."""
    request = state.request
    with state.timer.step("page"):
        ranks = state.shown[request.offset : request.end].tolist()
        hits = tuple(_hit(state, rank) for rank in ranks)
        if state.effects is not None:
            hits = state.effects.explained(hits, ranks, request.offset)
    state.result = SearchResult(
        hits=hits,
        stages=state.timer.reports,
        recalled=len(state.recalled_rows),
        reranked=len(state.scores),
        has_more=len(state.shown) > request.end,
        matched=state.matched,
        facets=state.facets,
        degradations=tuple(state.degradations),
        rerank_target=state.rerank_target,
        rules=() if state.effects is None else state.effects.reports,
    )


def _hit(state: SearchState, rank: int) -> Hit:
    ranking, candidates, scores = state.ranking, state.candidates, state.scores
    item = state.snapshot.catalogue.item(int(ranking.rows[rank]))
    ranked_scores = ranking.scores if state.effects is None else state.effects.scores
    score = float(ranked_scores[rank])
    if candidates is None:
        return Hit(item.item_id, score, item=item)
    position = int(ranking.candidates[rank])
    is_reranked = position < len(scores)
    lexical = scores.lexical[position] if is_reranked else np.nan
    return Hit(
        item_id=item.item_id,
        score=score,
        dense_score=float(candidates.dense_scores[position]),
        recall_score=float(candidates.scores[position]),
        rerank_score=float(scores.logits[position]) if is_reranked else None,
        lexical_score=None if np.isnan(lexical) else float(lexical),
        channels=candidates.channels(position),
        item=item,
    )
