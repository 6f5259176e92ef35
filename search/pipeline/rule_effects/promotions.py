"""Promotions: move items up to the first positions of blocks, while budgets allow it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from search.exploration.policy import block_size
from search.people.live import LivePeople
from search.pipeline.rule_effects.stock import is_out_of_stock
from search.pipeline.state import SearchState
from search.result import Hit
from search.rules import (
    DEFAULT_PROMOTED_SHARE,
    Adjustment,
    Effect,
    Promotion,
    RuleReport,
)


def promote(state: SearchState) -> None:
    """Change the ranks to show, and set which positions promotions have."""
    rules = state.rules
    if rules is None or not rules.promotions or state.request.order_by:
        return
    with state.timer.step("promote"):
        promotions = [promotion for _, promotion in rules.promotions]
        active = state.request.active_promotions
        if active is None:
            active = _active(promotions, state.people, state.now)
        state.active_promotions = active
        share = rules.promoted_share or DEFAULT_PROMOTED_SHARE
        state.shown, state.promoted = _promoted(state, promotions, active, share)


def explained(state: SearchState, hits: Sequence[Hit], offset: int) -> tuple[Hit, ...]:
    """Return the hits of a page with the promotions that moved them up."""
    return tuple(
        _marked(state, hit, position) if position in state.promoted else hit
        for position, hit in enumerate(hits, start=offset)
    )


def reports(state: SearchState) -> tuple[RuleReport, ...]:
    """Return how many items down to the end of the page each promotion moved up."""
    if state.rules is None:
        return ()
    shown = [index for position, index in state.promoted.items() if position < state.request.end]
    return tuple(
        RuleReport(name.rule, shown.count(index), None, name.curation_id)
        for index, (name, _) in enumerate(state.rules.promotions)
    )


def _active(promotions: Sequence[Promotion], people: LivePeople | None, now: int) -> int:
    """Return a number whose n-th bit says whether the n-th promotion may spend."""
    if people is None:
        return 0
    return sum(people.may_promote(promotion, now) << n for n, promotion in enumerate(promotions))


def _promoted(
    state: SearchState, promotions: Sequence[Promotion], active: int, share: float
) -> tuple[Int64[np.ndarray, " shown"], dict[int, int]]:
    """Return the ranks to show, and the index of the promotion of each promoted position."""
    candidates = _candidates(state, promotions, active)
    free = np.flatnonzero(state.shown >= len(state.pins) + state.exact)
    ranks = state.shown[free].tolist()  # pins and items with a code of the query do not move
    block, last = block_size(share), -1
    promoted: dict[int, int] = {}
    for index, position in enumerate(free.tolist()):
        if position // block == last or not candidates:
            continue
        last = position // block
        below = set(ranks[index + 1 :])
        best = next((rank for rank in candidates if rank in below), None)
        if best is not None:
            ranks.remove(best)
            ranks.insert(index, best)
            promoted[position] = candidates.pop(best)
    shown = state.shown.copy()
    shown[free] = ranks
    return shown, promoted


def _candidates(state: SearchState, promotions: Sequence[Promotion], active: int) -> dict[int, int]:
    """Return the index of the promotion of each rank that may be promoted, most relevant first."""
    relevance = state.predicted
    if relevance is None:
        return {}
    found: list[tuple[float, int, int]] = []
    last = min(len(state.pins) + state.ranking.recalled, len(relevance))
    rows = state.ranking.rows[:last]
    for index, promotion in enumerate(promotions):
        if active >> index & 1:
            of_items = state.snapshot.catalogue.rows(promotion.item_ids)
            may = np.isin(rows, of_items) & (relevance[:last] >= promotion.min_relevance)
            if state.in_stock_first:
                may &= ~is_out_of_stock(state.snapshot.catalogue, rows)
            found += [
                (-float(relevance[rank]), rank, index) for rank in np.flatnonzero(may).tolist()
            ]
    candidates: dict[int, int] = {}
    for _, rank, index in sorted(found):
        candidates.setdefault(rank, index)
    return candidates


def _marked(state: SearchState, hit: Hit, position: int) -> Hit:
    assert state.rules is not None
    name, promotion = state.rules.promotions[state.promoted[position]]
    adjustment = Adjustment(
        name.rule, Effect.PROMOTED, to_position=position + 1, curation_id=name.curation_id
    )
    return replace(
        hit,
        promotion_id=promotion.promotion_id,
        adjustments=(*hit.adjustments, adjustment),
    )
