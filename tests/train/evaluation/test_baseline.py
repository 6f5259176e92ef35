"""The baselines that evaluation compares with."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.dataset.reading import read_dataset
from catalog.schema import ITEMS
from catalog.store import ItemStore
from train.evaluation.baseline import Bm25, best_rows, english_stemmer
from train.evaluation.report import judged_queries, make_report
from train.evaluation.runs import Ranking


def test_the_baseline_searches_title_brand_and_description_without_stop_words():
    items = [
        {"item_id": "a", "title": "lamp", "brand": "Acme"},
        {"item_id": "b", "title": "the desk", "description": "with a lamp"},
        {"item_id": "c", "title": "the rug", "category": "lamp"},
    ]
    baseline = Bm25(ItemStore(pa.Table.from_pylist(items, schema=ITEMS.arrow)))
    assert np.flatnonzero(baseline.scores("lamp")).tolist() == [0, 1]
    assert np.flatnonzero(baseline.scores("ACME")).tolist() == [0]
    for nothing in ("the", "", "zebra", "!"):
        assert not baseline.scores(nothing).any()


def test_one_baseline_finds_words_by_their_stems():
    items = [{"item_id": "a", "title": "table lamps"}, {"item_id": "b", "title": "running shoe"}]
    store = ItemStore(pa.Table.from_pylist(items, schema=ITEMS.arrow))
    plain, stemmed = Bm25(store), Bm25(store, english_stemmer())
    for query, row in (("lamp", 0), ("run", 1), ("shoes", 1)):
        assert not plain.scores(query).any()
        assert np.flatnonzero(stemmed.scores(query)).tolist() == [row]


def test_the_baseline_finds_nothing_among_stop_words_alone():
    items = [{"item_id": "a", "title": "The"}]
    baseline = Bm25(ItemStore(pa.Table.from_pylist(items, schema=ITEMS.arrow)))
    assert baseline.scores("the lamp").tolist() == [0]


def test_best_rows_fall_with_ties_in_the_order_given():
    scores = np.array([0, 2, 1, 2, 0, 1], np.float32)
    assert best_rows(scores, 3, np.arange(6)).tolist() == [1, 3, 2]
    assert best_rows(scores, 10, -np.arange(6)).tolist() == [3, 1, 5, 2]


@pytest.mark.real
def test_home_depot_figures_agree_with_those_measured_elsewhere(real_data):
    dataset = read_dataset(real_data("homedepot"))
    store = ItemStore(dataset.items)
    baseline = Bm25(store)
    queries = judged_queries(dataset, "test")
    ties = np.random.default_rng(1).permutation(len(store))
    run = []
    for query in queries:
        scores = baseline.scores(query.text)
        rows = best_rows(scores, 100, ties)
        run.append(Ranking([store.ids[row] for row in rows], scores[rows]))
    found = make_report("test", queries, {"bm25": run})
    assert found.queries == 1_192
    # Other code measured these values, with bm25s and with a random order of the judged items. It
    # ordered equal scores otherwise, which changes nDCG@10 by up to 0.004 and MRR by up to 0.007.
    assert found.systems["bm25"]["recall@100"].mean == pytest.approx(0.675, abs=0.003)
    assert found.systems["bm25"]["ndcg@10"].mean == pytest.approx(0.316, abs=0.008)
    assert found.systems["bm25"]["mrr"].mean == pytest.approx(0.382, abs=0.014)
    assert found.systems["random"]["ndcg@10_judged"].mean == pytest.approx(0.914, abs=0.002)
