"""Rules: apply boosts, diversity, stock, caps and pins to the ranked list."""

import numpy as np
from jaxtyping import Int64

from search.pipeline.rule_effects.active_rules import ActiveRules, RuleEffects
from search.pipeline.rule_effects.caps import apply_caps, capped
from search.pipeline.rule_effects.diversity import mmr_order
from search.pipeline.rule_effects.stock import in_stock_first
from search.pipeline.state import SearchState
from search.ranking.ordering import scores_behind

DIVERSE_DEPTH = 50  # number of items that diversity reorders if nothing was reranked


def apply_rules(state: SearchState) -> None:
    """Set the ranks to show and the effects of rules."""
    if state.rules is None:
        state.shown = _without_rules(state)
        return
    with state.timer.stage("rules") as stage:
        stage.candidates = len(state.ranking.rows)
        state.shown, state.effects = _arrange(state, state.rules)


def _without_rules(state: SearchState) -> Int64[np.ndarray, " shown"]:
    """Return the ranks to show: collapse groups, and put items out of stock last."""
    catalogue, rows, order = state.snapshot.catalogue, state.ranking.rows, state.order
    # When browsing, `recall` has already put the items out of stock last.
    if state.in_stock_first and state.candidates is not None:
        ranks = np.arange(len(rows))
        order, _ = in_stock_first(catalogue, rows, ranks, state.ranking.recalled, state.exact)
    ordered = rows if order is None else rows[order]
    positions = capped(catalogue, ordered, state.max_per_group, state.listed)
    return positions if order is None else np.asarray(order[positions])


def _arrange(
    state: SearchState, active: ActiveRules
) -> tuple[Int64[np.ndarray, " shown"], RuleEffects]:
    """Apply the rules and the order of the request; return the ranks to show and the effects."""
    ranking, pins = state.ranking, len(active.pins)
    rows, count = ranking.rows, state.listed
    base = ranking.scores.astype(np.float64)
    total = base.copy()
    # Boosts, diversity and stock do not move the items from rank `last` on.
    last = min(pins + ranking.recalled, len(rows))
    for is_boosted, (_, boost) in zip(active.boosted, active.boosts, strict=True):
        total[:last] += np.where(is_boosted[rows[:last]], boost.strength, 0.0)
    before = order = np.arange(pins, len(rows)) if state.order is None else state.order
    out_of_stock = 0
    if state.order is None:
        if active.boosts:
            order[: last - pins] = pins + np.argsort(-total[pins:last], kind="stable")
            boosted_scores = total[order[: last - pins]].astype(np.float32)
            behind = scores_behind(boosted_scores, base[last:].astype(np.float32))
            base[last:] = total[last:] = behind
        if active.diversity:
            head = order[: min(ranking.reranked or DIVERSE_DEPTH, last - pins)]
            vectors = state.snapshot.channels.vectors(rows[head])
            diverse = head[mmr_order(total[head], vectors, active.diversity)]
            order = np.concatenate([diverse, order[len(head) :]])
    after = order
    if state.in_stock_first:
        catalogue = state.snapshot.catalogue
        order, out_of_stock = in_stock_first(catalogue, rows, order, last - pins, state.exact)
    capped_list = apply_caps(rows[order], active.caps, active.pins, active.unpinned(count))
    shown = active.with_pins(order[capped_list.positions], count)
    return shown, RuleEffects(
        active, rows, total, base, last, before, after, out_of_stock, capped_list.dropped
    )
