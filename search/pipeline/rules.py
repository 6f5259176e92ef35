"""Rules: apply boosts, diversity, caps and pins to the ranked list."""

import numpy as np
from jaxtyping import Int64

from search.pipeline.rule_effects.active_rules import ActiveRules, RuleEffects
from search.pipeline.rule_effects.caps import apply_caps, capped
from search.pipeline.rule_effects.diversity import mmr_order
from search.pipeline.state import SearchState
from search.ranking.ordering import scores_behind

DIVERSE_DEPTH = 50  # number of items that diversity reorders if nothing was reranked


def apply_rules(state: SearchState) -> None:
    """Set the ranks to show and the effects of rules."""
    request, catalogue = state.request, state.snapshot.catalogue
    if state.rules is None:
        shown = capped(catalogue, state.ranking.rows, request.max_per_group, request.end + 1)
        state.shown = shown
        return
    with state.timer.stage("rules") as stage:
        stage.candidates = len(state.ranking.rows)
        state.shown, state.effects = _arrange(state, state.rules)


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
