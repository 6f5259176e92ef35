"""Rerank: score the first candidates with the reranker, as many as there is time for.

The rankers of recommendations score all candidates to rank at once, because that is quick.
"""

from search.pipeline.people.learned import learned_scores
from search.pipeline.scoring import CandidateScorer
from search.pipeline.state import SearchState
from search.result import Degradation


class Rerank:
    """Scores the first candidates with the reranker."""

    def __init__(self, scorer: CandidateScorer) -> None:
        """Score with the given scorer."""
        self._scorer = scorer

    def __call__(self, state: SearchState) -> None:
        """Set the scores; add a degradation if there are fewer scores than planned."""
        if state.learned is not None:
            if state.rerank_target and state.budget.left("rerank", *_later_stages(state)) > 0:
                with state.timer.stage("rerank", state.rerank_target):
                    state.scores = learned_scores(state)
        elif state.query is not None and state.candidates is not None:
            first, candidates = slice(state.rerank_target), state.candidates
            state.scores = self._scorer.scores(
                state.query,
                candidates.rows[first],
                {name: scores[first] for name, scores in candidates.channel_scores.items()},
                state.snapshot.feature_source,
                state.budget,
                state.timer,
                _later_stages(state),
            )
        # If time was short on the first page, the requests for later pages have `rerank_limit`.
        # These pages report the same degradation.
        is_short = len(state.scores) < state.rerank_target or state.request.rerank_limit is not None
        if is_short:
            shortened, skipped = Degradation.RERANK_SHORTENED, Degradation.RERANK_SKIPPED
            state.degradations.append(shortened if len(state.scores) else skipped)


def _later_stages(state: SearchState) -> tuple[str, ...]:
    """Return the later stages for which reranking must leave time."""
    needed = ("page",) if state.rules is None else ("rules", "page")
    with_facets = (*needed, "facets")
    if not state.request.facets or state.budget.left(*with_facets) <= 0:
        return needed  # there is too little time for facets, so reserve no time for them
    return with_facets
