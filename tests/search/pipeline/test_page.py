"""The page of a ranked list: its hits, and what the result says about the list."""

from dataclasses import replace

import numpy as np
import pytest

from catalog.catalogue import Catalogue
from catalog.filters import Equals
from catalog.items import Item
from catalog.store import ItemStore
from search.channels.fusion import Channels
from search.config import EngineConfig
from search.exploration.request import Exploration, Method
from search.feature_source import FeatureSource
from search.identifiers.table import Identifiers
from search.pipeline.page import cut_page
from search.pipeline.rule_effects.active_rules import ActiveRules, RuleEffects
from search.pipeline.state import EXPLORED, Depths, RankedList, RerankScores, SearchState
from search.ranking.candidates import Candidates
from search.ranking.popularity import Popularity
from search.ranking.weights import Weights
from search.request import SearchRequest
from search.result import Degradation
from search.rules import Boost, NamedRules, Pin, Promotion, RuleReport, Rules
from search.runtime.deadline import DeadlineBudget, LatencyEstimates
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot
from search.understanding.understanding import QueryUnderstanding

CATALOGUE = Catalogue.of(ItemStore.of([Item(name, f"lamp {name}") for name in "abcdef"]))


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def state_of(*, page_size: int = 2, offset: int = 0, shown: int = 4, **fields) -> SearchState:
    """Return the state of a search before its page is cut; `shown` is the number of results."""
    estimates = LatencyEstimates()
    budget = DeadlineBudget(None, estimates)
    request = SearchRequest("lamp", page_size=page_size, offset=offset)
    empty = np.zeros((0, 2), np.float32)
    return SearchState(
        request,
        Snapshot(
            CATALOGUE,
            Channels([]),
            FeatureSource(CATALOGUE, None, None),
            Popularity.of(CATALOGUE),
            QueryUnderstanding.of(CATALOGUE),
            Identifiers.of(CATALOGUE),
            empty,
        ),
        EngineConfig(),
        Weights({}, 1.5),
        Depths(4, 2, 2),
        budget,
        StageTimer(budget, estimates),
        shown=np.arange(shown),
        **fields,
    )


def searched(**fields) -> SearchState:
    """Return the state of a search that recalled d, c, b and a, and ranks c before d."""
    return state_of(
        candidates=Candidates(
            rows=ints(3, 2, 1, 0),
            recall_scores=floats(0.9, 0.8, 0.7, 0.6),
            channel_scores={"dense": floats(0.5, 0.25, 0.75, 0.125)},
            ranks={"dense": ints(1, 2, 0, 3), "lexical": ints(0, 1, 2, 0)},
        ),
        recalled_rows=ints(3, 2, 1, 0),
        scores=RerankScores(floats(-1, 2), {"lexical": floats(0.625, np.nan)}),
        ranking=RankedList(
            ints(2, 3, 1, 0), floats(3.25, 0.25, 0.125, 0), np.array([1, 0, 2, 3]), 4, 2
        ),
        **fields,
    )


def result_of(state: SearchState):
    cut_page(state)
    return state.result


def test_a_page_has_its_part_of_the_ranking_with_the_scores_of_each_stage():
    reranked = result_of(searched()).hits
    assert [hit.item_id for hit in reranked] == ["c", "d"]
    assert [hit.score for hit in reranked] == [3.25, 0.25]
    assert [hit.rerank_score for hit in reranked] == [2, -1]
    assert [hit.item for hit in reranked] == [CATALOGUE.item(2), CATALOGUE.item(3)]
    others = result_of(searched(offset=2)).hits
    assert [hit.item_id for hit in others] == ["b", "a"]
    assert [hit.score for hit in others] == [0.125, 0]
    assert [hit.rerank_score for hit in others] == [None, None]
    hits = (*reranked, *others)
    scores = [{"dense": 0.25}, {"dense": 0.5, "lexical": 0.625}, {"dense": 0.75}, {"dense": 0.125}]
    assert [hit.channel_scores for hit in hits] == scores
    np.testing.assert_allclose([hit.recall_score for hit in hits], [0.8, 0.9, 0.7, 0.6])
    ranks = [{"dense": 2, "lexical": 1}, {"dense": 1}, {"lexical": 2}, {"dense": 3}]
    assert [hit.channel_ranks for hit in hits] == ranks
    assert all(hit.base_score is None and hit.adjustments == () for hit in hits)


@pytest.mark.parametrize(("shown", "has_more"), [(3, False), (4, False), (5, True), (6, True)])
def test_there_is_more_if_a_result_follows_the_page(shown, has_more):
    result = result_of(searched(offset=2, shown=shown))
    assert len(result.hits) == min(shown, 4) - 2
    assert result.has_more is has_more


def test_the_result_says_how_the_list_came_about():
    result = result_of(
        searched(matched=5, rerank_target=7, degradations=[Degradation.RERANK_SHORTENED])
    )
    assert (result.recalled, result.reranked, result.rerank_target) == (4, 2, 7)
    assert (result.matched, result.facets, result.rules) == (5, (), ())
    assert result.degradations == (Degradation.RERANK_SHORTENED,)


def test_browsed_hits_have_only_the_score_they_are_ordered_by():
    ranking = RankedList(ints(5, 4), floats(9, 8), np.zeros(0, np.int64), 2, 0)
    first, second = result_of(state_of(ranking=ranking, shown=2)).hits
    assert (first.item_id, first.score, first.item) == ("f", 9, CATALOGUE.item(5))
    assert (second.item_id, second.score, second.item) == ("e", 8, CATALOGUE.item(4))
    for hit in (first, second):
        assert (hit.recall_score, hit.rerank_score) == (None, None)
        assert (hit.channel_scores, hit.channel_ranks) == ({}, {})


def test_hits_have_the_score_with_boosts_and_the_score_without():
    rules = Rules(boosts=(Boost(Equals("item_id", "b"), 0.1),))
    order = np.arange(4)
    effects = RuleEffects(
        ActiveRules.of([NamedRules(rules)], CATALOGUE, None, 0),
        rows=ints(2, 3, 1, 0),
        scores=np.array([3.25, 0.25, 0.225, 0]),
        base_scores=np.array([3.25, 0.25, 0.125, 0]),
        boosted_ranks=4,
        before=order,
        after=order,
        out_of_stock=0,
        dropped=(),
    )
    result = result_of(searched(effects=effects, offset=2))
    assert [hit.item_id for hit in result.hits] == ["b", "a"]
    assert [hit.score for hit in result.hits] == [0.225, 0]
    assert [hit.base_score for hit in result.hits] == [0.125, 0]
    assert [len(hit.adjustments) for hit in result.hits] == [1, 0]
    assert result.rules == (RuleReport("boosts[0]", 1),)


def test_every_page_lists_all_items_that_exploration_and_promotions_can_move():
    pins = Rules(pins=(Pin("a", 1), Pin("b", 2)))
    promoted = replace(pins, promotions=(Promotion("ads", ("c",), 10.0),))
    exploration = Exploration(Method.EPSILON_GREEDY, 0.2)
    state = state_of(exact=1)
    for rules, explored, expected in (
        (pins, None, 2),  # the page has two results
        (pins, exploration, 2 + 1 + EXPLORED),
        (promoted, None, 2 + 1 + 4),  # the recall depth is 4
    ):
        state.rules = ActiveRules.of([NamedRules(rules)], CATALOGUE, None, 0)
        state.request = replace(state.request, exploration=explored)
        assert state.listed == expected + 1
