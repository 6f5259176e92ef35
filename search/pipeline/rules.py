"""Rules: rank the candidates, and apply boosts, diversity, caps and pins."""

import numpy as np
from jaxtyping import Int64

from search.pipeline.rule_effects.active_rules import ActiveRules, RuleEffects
from search.pipeline.rule_effects.caps import apply_caps, capped
from search.pipeline.rule_effects.diversity import mmr_order
from search.pipeline.state import RankedList, SearchState
from search.ranking.ordering import rerank_order, scores_behind

DIVERSE_DEPTH = 50  # number of items that diversity reorders if nothing was reranked


def apply_rules(state: SearchState) -> None:
    """Rank the candidates; set the ranks to show and the effects of rules."""
    request, catalogue = state.request, state.snapshot.catalogue
    if state.rules is None:
        state.ranking = _ranking(state)
        shown = capped(catalogue, state.ranking.rows, request.max_per_group, request.end + 1)
        state.shown = shown
        return
    with state.timer.stage("rules") as stage:
        state.ranking = _ranking(state)
        stage.candidates = len(state.ranking.rows)
        state.shown, state.effects = _arrange(state, state.rules)


def _ranking(state: SearchState) -> RankedList:
    """Return the candidates by final score: reranked candidates first, then the others."""
    candidates = state.candidates
    if candidates is None:
        return state.ranking  # when browsing, `recall` has already set the ranking
    recall_scores, pins, scored = candidates.recall_scores, len(state.pins), len(state.scores)
    final = state.scores.logits + (np.float32(state.weights.recall) * recall_scores[:scored])
    behind = max(scored, pins)
    order, other_scores = rerank_order(final[pins:], recall_scores[behind:])
    pin_scores = np.concatenate([final[:pins], recall_scores[scored:pins]])
    ranked = np.concatenate([np.arange(pins), pins + order, np.arange(behind, len(recall_scores))])
    in_depth = state.recalled_rows[: state.depths.recall]
    recalled = int(np.count_nonzero(~np.isin(in_depth, state.pins)))
    return RankedList(
        candidates.rows[ranked],
        np.concatenate([pin_scores, other_scores]),
        ranked,
        recalled,
        max(scored - pins, 0),
    )


def _arrange(
    state: SearchState, active: ActiveRules
) -> tuple[Int64[np.ndarray, " shown"], RuleEffects]:
    """Apply boosts, diversity, caps and pins; return the ranks to show and the effects of rules."""
    ranking, pins, rules = state.ranking, len(active.pins), active.rules
    rows, count = ranking.rows, state.request.end + 1
    base = ranking.scores.astype(np.float64)
    total = base.copy()
    # Boosts and diversity do not move the items from rank `last` on.
    last = min(pins + ranking.recalled, len(rows))
    for is_boosted, boost in zip(active.boosted, rules.boosts, strict=True):
        total[:last] += np.where(is_boosted[rows[:last]], boost.strength, 0.0)
    order = np.arange(pins, len(rows))
    if rules.boosts:
        order[: last - pins] = pins + np.argsort(-total[pins:last], kind="stable")
        boosted_scores = total[order[: last - pins]].astype(np.float32)
        behind = scores_behind(boosted_scores, base[last:].astype(np.float32))
        base[last:] = total[last:] = behind
    before = order
    if rules.diversity:
        head = order[: min(ranking.reranked or DIVERSE_DEPTH, last - pins)]
        vectors = state.snapshot.channels.vectors(rows[head])
        diverse = head[mmr_order(total[head], vectors, rules.diversity)]
        order = np.concatenate([diverse, order[len(head) :]])
    capped_list = apply_caps(rows[order], active.caps, active.pins, active.unpinned(count))
    shown = active.with_pins(order[capped_list.positions], count)
    return shown, RuleEffects(active, rows, total, base, last, before, order, capped_list.dropped)
