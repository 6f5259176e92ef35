"""Page: make the hits of one page and the result of the search."""

from search.channels.fusion import scores_at
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
        interpretation=state.interpretation,
        rules=() if state.effects is None else state.effects.reports,
        relevant=state.relevant,
        nothing_fits=state.nothing_fits,
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
    channel_scores = scores_at(candidates.channel_scores, position)
    if is_reranked:
        channel_scores |= scores_at(scores.channel_scores, position)
    return Hit(
        item_id=item.item_id,
        score=score,
        channel_scores=channel_scores,
        channel_ranks=candidates.ranks_at(position),
        recall_score=float(candidates.recall_scores[position]),
        rerank_score=float(scores.logits[position]) if is_reranked else None,
        item=item,
        signals={name: float(values[rank]) for name, values in state.signals.items()},
        relevance=None if state.relevance is None else float(state.relevance[rank]),
        guessed=rank >= len(state.pins) + state.exact and _has_guesses(state),
    )


def _has_guesses(state: SearchState) -> bool:
    """Return whether results that have no code of the query are guesses."""
    return state.nothing_fits or bool(state.codes.unknown)
