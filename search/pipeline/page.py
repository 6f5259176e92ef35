"""Page: make the hits of one page and the result of the search."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from search.pipeline.rule_effects import promotions, stock
from search.pipeline.state import SearchState
from search.ranking.candidates import scores_at
from search.result import Hit, SearchResult


def cut_page(state: SearchState) -> None:
    """Select the page of the ranking, and set the result."""
    request = state.request
    with state.timer.step("page"):
        ranks = state.shown[request.offset : request.end].tolist()
        variants = _variant_counts(state, ranks)
        hits = tuple(map(partial(_hit, state), ranks, variants))
        if state.effects is not None:
            hits = state.effects.explained(hits, ranks, request.offset)
        if state.in_stock_first:
            movable = range(len(state.pins), len(state.pins) + state.ranking.recalled)
            hits = tuple(
                stock.explained(hit) if rank in movable else hit
                for hit, rank in zip(hits, ranks, strict=True)
            )
        hits = promotions.explained(state, hits, request.offset)
        if state.propensities is not None and state.exploring is not None:
            page = slice(request.offset, request.end)
            flags, chances = state.exploring[page].tolist(), state.propensities[page].tolist()
            hits = tuple(
                replace(hit, exploring=exploring, propensity=propensity)
                for hit, exploring, propensity in zip(hits, flags, chances, strict=True)
            )
        if request.highlight:
            hits = _highlighted(state, hits)
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
        rules=() if state.effects is None else state.effects.reports + promotions.reports(state),
        active_promotions=state.active_promotions,
        relevant=state.relevant,
        nothing_fits=state.nothing_fits,
    )


def _hit(state: SearchState, rank: int, variant_count: int) -> Hit:
    ranking, candidates, scores = state.ranking, state.candidates, state.scores
    row = int(ranking.rows[rank])
    item = state.snapshot.catalogue.item(row)
    ranked_scores = ranking.scores if state.effects is None else state.effects.scores
    if candidates is None:
        if not len(ranked_scores):
            ranked_scores, rank = state.snapshot.popularity.scores(ranking.rows[[rank]]), 0
        score = float(ranked_scores[rank])
        return Hit(item.item_id, score, item=item, variant_count=variant_count)
    score = float(ranked_scores[rank])
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
        signals=scores_at(state.signals, rank),
        relevance=None if state.relevance is None else float(state.relevance[rank]),
        guessed=rank >= len(state.pins) + state.exact and _has_guesses(state),
        variant_count=variant_count,
    )


def _highlighted(state: SearchState, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """Return hits with the words that match the query."""
    lexical = state.snapshot.channels.lexical
    if state.query is None or lexical is None:
        return hits
    roles = state.snapshot.catalogue.roles
    items = [roles.readable(hit.item) for hit in hits if hit.item is not None]
    found = lexical.highlights(state.query, items)
    return tuple(replace(hit, highlights=of_hit) for hit, of_hit in zip(hits, found, strict=True))


def _variant_counts(state: SearchState, ranks: Sequence[int]) -> list[int]:
    """Return how many relevant items of each rank's group `max_per_group` leaves out."""
    ranking, pins = state.ranking, len(state.pins)
    codes = state.snapshot.catalogue.codes("group_id") if state.max_per_group else None
    if codes is None or not codes.size:
        return [0] * len(ranks)
    groups = codes.at(ranking.rows[: pins + ranking.recalled])
    on_page = codes.at(ranking.rows[list(ranks)])[:, np.newaxis]
    pinned = (groups[:pins] == on_page).sum(axis=1)
    if state.candidates is None:  # so many items that it is faster to select some of them first
        groups = groups[np.isin(groups, on_page)]
    sizes = (groups == on_page).sum(axis=1)
    hidden = np.maximum(sizes - np.maximum(pinned, state.max_per_group), 0)
    counts: list[int] = np.where(on_page[:, 0] >= 0, hidden, 0).tolist()
    return counts


def _has_guesses(state: SearchState) -> bool:
    """Return whether results that have no code of the query are guesses."""
    return state.nothing_fits or bool(state.codes.unknown)
