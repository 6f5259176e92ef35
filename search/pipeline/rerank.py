"""Rerank: the logits of the reranker for the first candidates, as many as there is time for."""

from search.pipeline.scoring import CandidateScorer
from search.pipeline.state import SearchState
from search.result import Degradation


class Rerank:
    """Scores the first candidates with the reranker."""

    def __init__(self, scorer: CandidateScorer) -> None:
        """Take the scorer."""
        self._scorer = scorer

    def __call__(self, state: SearchState) -> None:
        """Set the scores, and say so if there are fewer than there should be."""
        if state.candidates is not None:
            first = slice(state.rerank_target)
            state.scores = self._scorer.scores(
                state.request.text,
                state.candidates.rows[first],
                state.candidates.dense_scores[first],
                state.snapshot.signals,
                state.budget,
                state.timer,
                _later_stages(state),
            )
        # A later page was cut short on purpose: it repeats what the first page had time for.
        is_short = len(state.scores) < state.rerank_target or state.request.rerank_limit is not None
        if is_short:
            some = Degradation.RERANK_SHORTENED
            state.degradations.append(some if len(state.scores) else Degradation.RERANK_SKIPPED)


def _later_stages(state: SearchState) -> tuple[str, ...]:
    """Return the stages that reranking has to leave time for."""
    needed = ("page",) if state.rules is None else ("rules", "page")
    with_facets = (*needed, "facets")
    if not state.request.facets or state.budget.left(*with_facets) <= 0:
        return needed  # facets that there is no time for reserve none
    return with_facets
