"""The weights of a bundle are chosen on `dev`, and only if they are surely better."""

import numpy as np
import pytest

from search.config import EngineConfig
from search.engine import Engine
from search.request import DENSE, LEXICAL, RetrieveRequest
from train.evaluation.metrics import MIN_QUERIES
from train.evaluation.report import JudgedQuery
from train.evaluation.runs import Ranking
from train.pipeline.weights import (
    best_recall_weight,
    choose_weights,
    fits,
    untuned_weights,
)

DEFAULTS = {DENSE: 1.0, LEXICAL: 0.4}


@pytest.fixture
def loaded(tiny_bundle) -> Engine:
    return Engine.load(tiny_bundle)


def judged(engine: Engine, channel: str, count: int = 40) -> list[JudgedQuery]:
    """Judge the items relevant that a channel ranks first."""
    queries = []
    for title in engine.store.text("title")[:count]:
        query = " ".join(title.split()[:2])
        hits = engine.retrieve(RetrieveRequest(query, page_size=5, channels=(channel,))).hits
        gains = {hit.item_id: 5.0 - rank for rank, hit in enumerate(hits)}
        queries.append(JudgedQuery(query, query, gains, frozenset(gains)))
    return queries


def test_weights_follow_the_dense_channel_if_it_finds_the_judged_items(loaded):
    weights, improvement, report = choose_weights(loaded, judged(loaded, DENSE))
    assert improvement.mean <= 0  # recall is perfect already
    assert weights.channels == {DENSE: 1.0, LEXICAL: 0.0}
    assert weights.recall == 1.5  # the reranker's order is as good for each weight
    assert report["queries"] == 40
    assert report[LEXICAL]["0"] == pytest.approx(1.0)
    assert loaded.weights == weights


def test_weights_follow_the_lexical_channel_if_it_finds_the_judged_items(loaded):
    loaded.config = EngineConfig(channel_weights="lexical=0", recall_weight=0.0)
    weights, _, report = choose_weights(loaded, judged(loaded, LEXICAL))
    assert weights.channels[LEXICAL] > 0
    assert weights.recall > 0
    assert report["recall"][f"{weights.recall:g}"] == max(report["recall"].values())


def test_a_weight_that_is_not_surely_better_stays(loaded):
    queries = judged(loaded, LEXICAL)
    loaded.config = EngineConfig(channel_weights="lexical=2")  # as good as any larger weight
    weights, _, report = choose_weights(loaded, queries)
    assert weights.channels[LEXICAL] == 2.0
    assert report[LEXICAL]["2"] == max(report[LEXICAL].values())


@pytest.mark.parametrize(("temperature", "weight"), [(0.05, 1.0), (0.01, 5.0), (1e-9, 100.0)])
def test_cosines_count_in_units_of_the_temperature(temperature, weight):
    assert untuned_weights(temperature).channels == {DENSE: pytest.approx(weight)}
    assert untuned_weights(temperature).recall == 1.5


@pytest.mark.parametrize("count", [0, MIN_QUERIES - 1])
def test_a_few_queries_choose_nothing(loaded, count):
    weights, improvement, report = choose_weights(loaded, judged(loaded, DENSE, count))
    assert (weights.channels, weights.recall) == (DEFAULTS, 1.5)
    assert report == {
        "queries": count,
        "line": f"weights: dense 1, lexical 0.4, recall 1.5 ({count} dev queries: too few to tell)",
    }
    assert improvement.verdict == "too few to tell"


def test_a_reranker_gets_the_weight_with_which_it_is_best_if_the_default_does_not_help():
    recall, random = np.full(40, 0.5), np.random.default_rng(0)
    unsure, sure = recall + random.normal(0.02, 0.2, 40), recall + random.normal(0.03, 0.02, 40)
    assert best_recall_weight({1.5: unsure, 3.0: sure}, recall, 1.5) == 3.0
    # If the default helps, too, it stays, because no other weight is surely better.
    assert best_recall_weight({1.5: sure, 3.0: sure + unsure - 0.5}, recall, 1.5) == 1.5


def test_rankings_fit_judgments_if_they_are_better_for_their_own_queries_than_for_others():
    queries = [JudgedQuery(str(n), str(n), {f"i{n}": 1.0}, frozenset({f"i{n}"})) for n in range(40)]

    def ranking(*rows: int) -> Ranking:
        return Ranking([f"i{row}" for row in rows], np.zeros(len(rows), np.float32))

    own = [ranking((n + 1) % 40, n) for n in range(40)]
    assert fits(queries, own)
    assert not fits(queries, [ranking(*range(10))] * 40)  # as good for all other queries
    assert not fits(queries, own[3:] + own[:3])
    assert not fits(queries[:29], own[:29])
