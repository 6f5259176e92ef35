"""Demotion: put candidates that the query excludes, or that break its limits, behind the others."""

import numpy as np
from jaxtyping import Bool, Int32

from catalog.filters import And, Range
from search.pipeline.state import SearchState
from search.ranking.candidates import Candidates
from search.ranking.ordering import scores_behind
from search.snapshot import Snapshot
from search.understanding.interpretation import Exclusion, Limit
from search.understanding.mentions import has_excluded


def within_limits(snapshot: Snapshot, limits: tuple[Limit, ...]) -> Bool[np.ndarray, " rows"]:
    """Return a mask of the items whose price lies within all limits."""
    return snapshot.catalogue.matching(And(tuple(Range("price", x.interval) for x in limits)))


def mentioning(
    snapshot: Snapshot, rows: Int32[np.ndarray, " rows"], exclusions: tuple[Exclusion, ...]
) -> Bool[np.ndarray, " rows"]:
    """Return whether the item in each row has something that the query excludes."""
    terms_of = snapshot.terms_of
    roles = snapshot.catalogue.roles
    items = (roles.filterable(snapshot.catalogue.item(row)) for row in rows.tolist())
    return np.fromiter(
        (has_excluded(item, exclusions, terms_of) for item in items), np.bool_, len(rows)
    )


def without_mentions(snapshot: Snapshot, exclusion: Exclusion) -> Bool[np.ndarray, " rows"]:
    """Return a mask of the items that do not have something that the query excludes.

    The items with the excluded words come from the lexical index. Without this index, all items
    pass.
    """
    without = snapshot.catalogue.all_alive.copy()
    index = snapshot.channels.lexical_index
    if index is not None:
        rows, _ = index.search(exclusion.excluded, max(1, len(index)))
        without[rows[mentioning(snapshot, rows, (exclusion,))]] = False
    return without


def demoted(state: SearchState, candidates: Candidates) -> tuple[Candidates, int]:
    """Put unwanted candidates within the recall depth behind the others.

    Returns:
        The candidates, and the number of wanted candidates within the recall depth. If all are
        unwanted, all keep their order and count as wanted.
    """
    depth = min(state.depths.recall, len(candidates))
    interpretation, snapshot = state.interpretation, state.snapshot
    assert interpretation is not None
    limits = tuple(limit for limit in interpretation.limits if limit.effect == "demote")
    exclusions = tuple(e for e in interpretation.exclusions if e.effect == "demote")
    if not limits and not exclusions:
        return candidates, depth
    unwanted = mentioning(snapshot, candidates.rows[:depth], exclusions)
    if limits:
        unwanted |= ~within_limits(snapshot, limits)[candidates.rows[:depth]]
    wanted = depth - int(np.count_nonzero(unwanted))
    if wanted in (0, depth):
        return candidates, depth
    order = np.concatenate([np.argsort(unwanted, kind="stable"), np.arange(depth, len(candidates))])
    moved = candidates.at(order)
    scores = moved.recall_scores
    for start in (wanted, depth):
        scores[start:] = scores_behind(scores[:start], scores[start:])
    return moved, wanted
