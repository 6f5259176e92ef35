"""Relevance is calibrated on known queries and on queries that no item fits."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from search.bundle.calibration import COSINE, SIGNALS, Calibration
from search.engine import Engine
from search.relevance import probability
from search.request import SearchRequest
from train.evaluation.report import JudgedQuery
from train.pipeline.calibration import (
    CalibrationConfig,
    absent_queries,
    calibrate,
    choose_threshold,
    title_pieces,
)
from train.pipeline.logistic import fit_logistic

WORDS = ["granola", "violin", "lipstick", "novel", "aspirin", "sweater", "puzzle", "perfume"]
FEW = CalibrationConfig(absent=30)


def judged(engine: Engine, count: int = 40) -> list[JudgedQuery]:
    """Return titles as queries; their items are relevant, and all other items are not."""
    ids = engine.store.ids
    return [
        JudgedQuery(title, title, {i: float(i == item) for i in ids}, frozenset({item}))
        for item, title in zip(ids[:count], engine.store.text("title")[:count], strict=True)
    ]


@pytest.fixture(scope="module")
def loaded(tiny_bundle) -> Engine:
    return Engine.load(tiny_bundle)


@pytest.fixture(scope="module")
def fitted(loaded) -> tuple[Calibration, dict]:
    """A calibration on judged titles, and its report."""
    return calibrate(loaded, WORDS, judged(loaded), judged(loaded), FEW)


def calibrated(engine: Engine, fitted: Calibration) -> Engine:
    manifest = replace(engine.manifest, calibration=fitted)
    return Engine(engine.directory, manifest, engine.config, engine.models)


def first_signals(cosine: float) -> dict[str, np.ndarray]:
    """Return the signals of an item with no word of the query."""
    return {name: np.array([cosine * (name == COSINE)], np.float32) for name in SIGNALS}


# ---- Logistic regression


def test_a_logistic_regression_gives_back_the_probabilities_of_its_examples():
    # Of the examples with signal 0, one in four is positive; with signal 1, three in four are.
    positive = np.array([0] * 100 + [1] * 300, float)[:, None]
    negative = np.array([0] * 300 + [1] * 100, float)[:, None]
    intercept, [weight] = fit_logistic(positive, negative)
    assert intercept == pytest.approx(math.log(1 / 3), abs=0.01)
    assert intercept + weight == pytest.approx(math.log(3), abs=0.01)


def test_a_share_of_positive_examples_moves_the_intercept_alone():
    positive = np.array([0] * 100 + [1] * 300, float)[:, None]
    negative = np.array([0] * 300 + [1] * 100, float)[:, None]
    balanced, [weight] = fit_logistic(positive, negative)
    intercept, [shifted_weight] = fit_logistic(positive, negative, share=0.9)
    assert intercept - balanced == pytest.approx(math.log(9), abs=0.01)
    assert shifted_weight == pytest.approx(weight, abs=0.01)


def test_a_signal_that_falls_with_relevance_gets_no_weight():
    random_numbers = np.random.default_rng(0)
    positive = random_numbers.normal([1.0, -1.0], 1.0, (500, 2))
    negative = random_numbers.normal([0.0, 0.0], 1.0, (500, 2))
    _, weights = fit_logistic(positive, negative)
    alone, [weight] = fit_logistic(positive[:, :1], negative[:, :1])
    assert weights.tolist() == [pytest.approx(weight), 0.0]
    assert weight == pytest.approx(1.0, abs=0.2)  # of two unit normals whose means differ by 1
    assert alone == pytest.approx(-0.5, abs=0.1)


def test_examples_of_one_kind_give_their_smoothed_share():
    intercept, weights = fit_logistic(np.ones((3, 2)), np.ones((0, 2)))
    assert (intercept, weights.tolist()) == (pytest.approx(math.log(4)), [0.0, 0.0])


# ---- The threshold


def test_the_threshold_is_in_the_middle_of_a_gap():
    known, absent = np.full(100, 0.9, np.float32), np.full(100, 0.1, np.float32)
    assert choose_threshold(known, absent) == pytest.approx(0.5)


def test_at_most_one_known_query_in_forty_lies_below_the_threshold():
    known = np.linspace(0, 1, 1_001, dtype=np.float32)
    threshold = choose_threshold(known, np.full(100, 0.5, np.float32))
    assert threshold == pytest.approx(0.025)
    assert (known < threshold).mean() <= 0.025


def test_without_queries_of_one_kind_something_always_fits():
    some = np.array([0.5], np.float32)
    assert choose_threshold(some, some[:0]) == choose_threshold(some[:0], some) == 0.0


# ---- Queries


def test_absent_queries_end_in_a_word_that_no_item_has(loaded):
    index = loaded.snapshot.channels.lexical_index
    words = [*WORDS, "charger", "hdmi", "yak"]
    queries = absent_queries(index, words, judged(loaded), 10, random.Random(0))
    assert len(queries) == 10 + len(WORDS)
    assert not any(index.terms(query)[-1] in index.vocabulary for query in queries)
    ends = {query.split()[-1] for query in queries}
    assert set(WORDS) <= ends
    assert "yak" not in ends  # too short
    assert sum(query.split()[-1] in WORDS and " " in query for query in queries) == len(WORDS) / 2


def test_title_pieces_are_words_of_their_item_s_title_and_some_are_mistyped(loaded):
    pieces = list(title_pieces(loaded, 100, random.Random(0)))
    assert len(pieces) == len(loaded.store)
    titles = dict(zip(loaded.store.ids, loaded.store.text("title"), strict=True))
    whole = [piece.text in titles[item] for piece in pieces for item in piece.relevant]
    assert 0.7 <= np.mean(whole) < 1
    assert {len(piece.text.split()) for piece in pieces} <= {1, 2, 3}


# ---- Calibration


def test_a_calibrated_engine_knows_titles_and_refuses_gibberish(loaded, fitted):
    calibration, report = fitted
    loaded = calibrated(loaded, calibration)
    for depth in (None, 0):
        searches = [
            loaded.search(SearchRequest(text, rerank_depth=depth))
            for text in loaded.store.text("title")
        ]
        assert np.mean([search.nothing_fits for search in searches]) <= 0.05
        gibberish = [
            loaded.search(SearchRequest(text, rerank_depth=depth)).nothing_fits
            for text in ("qwertyuiop", "blorptang", "fnurgle zub", "xkcdqz")
        ]
        assert all(gibberish)
    assert report["recalled"]["nothing_fits_known"] <= 0.025
    assert report["reranked"]["nothing_fits_absent"] > 0.5


def test_without_judgments_titles_fit_and_so_may_queries_in_other_words(loaded):
    fitted, report = calibrate(loaded, WORDS, [], [], FEW)
    assert report["train"]["known"] == len(loaded.store)  # each piece counts twice
    engine = calibrated(loaded, fitted)
    titles = [engine.search(SearchRequest(text)) for text in engine.store.text("title")]
    assert not any(result.nothing_fits for result in titles)
    # The weights of this bundle are random, so a cosine cannot say which words mean the same.
    no_words = probability(fitted.recalled.fits, first_signals(cosine=1.0))
    assert no_words >= fitted.recalled.threshold


def test_the_config_sets_how_many_queries_are_asked(loaded):
    queries = judged(loaded, 35)
    config = CalibrationConfig(train_queries=31, dev_queries=32, absent=3)
    _, report = calibrate(loaded, WORDS, queries, queries, config)
    # Each kind has three queries: letters, words, and known queries that end in words.
    assert [report[split]["known"] for split in ("train", "dev")] == [31, 32]
    assert sum(report[split]["absent"] for split in ("train", "dev")) == 9
    _, report = calibrate(loaded, WORDS, [], [], replace(config, pieces=10))
    assert sum(report[split]["known"] for split in ("train", "dev")) == 20  # each counts twice
    _, report = calibrate(loaded, WORDS, [], [], CalibrationConfig(pieces=2))
    # As many of each kind as known queries; a known query has more than one word.
    assert sum(report[split]["absent"] for split in ("train", "dev")) == 6


def test_a_calibration_is_the_same_each_time(loaded, fitted):
    queries = judged(loaded)
    assert calibrate(loaded, WORDS, queries, queries, FEW) == fitted


def test_an_item_that_the_judgments_call_irrelevant_is_less_relevant(loaded, fitted):
    queries = judged(loaded)
    loaded = calibrated(loaded, fitted[0])
    request = SearchRequest(queries[0].text, rerank_depth=0, page_size=48)
    relevance = {hit.item_id: hit.relevance for hit in loaded.search(request).hits}
    [own] = queries[0].relevant
    assert relevance[own] == max(relevance.values())
    # One item in 48 is relevant to a query, so the relevances of a list add up to about 1.
    totals = [
        sum(hit.relevance for hit in loaded.search(SearchRequest(q.text, page_size=48)).hits)
        for q in queries
    ]
    assert np.mean(totals) == pytest.approx(1.0, abs=0.4)
