"""The steps of a search in order. To add a step, write one file and add one entry here."""

from collections.abc import Callable
from typing import TypeAlias

from search.bundle.calibration import Calibration
from search.encoding import QueryEncoder
from search.pipeline.facets import count_facets
from search.pipeline.filter import filter_items
from search.pipeline.page import cut_page
from search.pipeline.people.explain import explain
from search.pipeline.people.explore import explore_positions
from search.pipeline.people.meet import leave_out, meet_person
from search.pipeline.rank import rank_candidates
from search.pipeline.recall import Recall
from search.pipeline.relevance import Relevance
from search.pipeline.rerank import Rerank
from search.pipeline.rule_effects.promotions import promote
from search.pipeline.rules import apply_rules
from search.pipeline.scoring import CandidateScorer
from search.pipeline.sorting import sort_results
from search.pipeline.state import SearchState
from search.pipeline.understand import Understand
from search.result import SearchResult
from towers.history.forward import UserForward

SearchStep: TypeAlias = Callable[[SearchState], None]


class Pipeline:
    """The steps of a search. The steps store no data of a request."""

    def __init__(
        self,
        encoder: QueryEncoder,
        scorer: CandidateScorer,
        deepest: int,
        calibration: Calibration | None = None,
        users: UserForward | None = None,
    ) -> None:
        """Put the steps in order.

        Args:
            encoder: Encodes queries.
            scorer: Scores candidates with the reranker, if the bundle has one.
            deepest: Number of candidates for the last possible page.
            calibration: Turns scores into relevance; None: results have no relevance.
            users: Encodes people; None if the bundle has no user tower.
        """
        self._recall: tuple[SearchStep, ...] = (
            Understand(encoder.is_word),
            meet_person,
            filter_items,
            leave_out,
            Recall(encoder, deepest, users),
        )
        self._rerank: tuple[SearchStep, ...] = (Rerank(scorer),)
        self._rank: tuple[SearchStep, ...] = (rank_candidates, Relevance(calibration))
        self._finish: tuple[SearchStep, ...] = (
            sort_results,
            apply_rules,
            promote,
            explore_positions,
            cut_page,
            explain,
        )

    def run(
        self, state: SearchState, on_recalled: Callable[[SearchResult], None] | None = None
    ) -> SearchResult:
        """Run all steps.

        Args:
            state: The state of a new search.
            on_recalled: Called with the page in recall order, without facets, before reranking
                starts. Not called if no candidates are to be reranked.

        Raises:
            DeadlineExceededError: the deadline passed.
        """
        for step in self._recall:
            step(state)
        if on_recalled is not None and state.rerank_target:
            on_recalled(_finish((*self._rank, *self._finish), state.fork()))
        for step in self._rerank:
            step(state)
        return _finish((*self._rank, count_facets, *self._finish), state)


def _finish(steps: tuple[SearchStep, ...], state: SearchState) -> SearchResult:
    for step in steps:
        step(state)
    assert state.result is not None  # the last step sets it
    return state.result
