import tracemalloc
from math import log2

import numpy as np
import pytest
import pytrec_eval

from train.evaluation.metrics import Interval, bootstrap, dcg, ndcg, recall, reciprocal_rank


def rows(*values):
    return np.array(values, np.float64)


def flags(*values):
    return np.array(values, np.bool_)


def test_dcg_discounts_by_the_logarithm_of_rank_plus_one():
    found = dcg(rows([3, 2, 0, 1]), 10)
    assert found == pytest.approx([3 / log2(2) + 2 / log2(3) + 0 / log2(4) + 1 / log2(5)])


def test_dcg_stops_at_k():
    assert dcg(rows([3, 2, 1]), 2) == pytest.approx([3 + 2 / log2(3)])


def test_ndcg_divides_by_the_best_order_of_all_judged_items_listed_or_not():
    # The item with gain 2 is not in the list.
    found = ndcg(rows([0, 1]), rows([1, 0, 2]), 10)
    assert found == pytest.approx([(1 / log2(3)) / (2 + 1 / log2(3))])


def test_ndcg_ideal_is_cut_at_k_too():
    assert ndcg(rows([1, 0]), rows([1, 1, 1]), 1) == pytest.approx([1])


def test_ndcg_of_a_query_with_nothing_to_gain_is_zero():
    assert ndcg(rows([0, 0], [1, 0]), rows([0, 0], [1, 0]), 10) == pytest.approx([0, 1])


def test_ndcg_of_an_empty_list_is_zero():
    assert ndcg(np.zeros((1, 0)), rows([2, 1]), 10) == pytest.approx([0])


def test_recall_counts_the_first_k_and_is_undefined_without_relevant_items():
    relevant = flags([1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0])
    found = recall(relevant, np.array([4, 1, 2, 0]), 2)
    assert found[:3] == pytest.approx([1 / 4, 1, 0])
    assert np.isnan(found[3])


def test_reciprocal_rank_is_that_of_the_first_relevant_item():
    relevant = flags([0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
    found = reciprocal_rank(relevant, np.array([2, 2, 1, 0]))
    assert found[:3] == pytest.approx([1 / 3, 1, 0])
    assert np.isnan(found[3])


def test_metrics_of_no_query_are_empty():
    none = np.zeros((0, 5))
    assert ndcg(none, none, 10).shape == (0,)
    assert recall(none > 0, np.zeros(0, np.int64), 5).shape == (0,)
    assert reciprocal_rank(none > 0, np.zeros(0, np.int64)).shape == (0,)


def test_metrics_of_an_empty_list_are_zero():
    empty = np.zeros((1, 0), np.bool_)
    assert recall(empty, np.array([2]), 5).tolist() == [0]
    assert reciprocal_rank(empty, np.array([2])).tolist() == [0]


def test_metrics_agree_with_trec_eval():
    random = np.random.default_rng(3)
    queries, judged_items, listed, catalogue = 60, 15, 100, 200
    grades = random.integers(0, 4, (queries, judged_items))
    grades[:5] = 0
    gains, relevant = np.zeros((queries, listed)), np.zeros((queries, listed), np.bool_)
    qrels, run = {}, {}
    for query in range(queries):
        judged = random.choice(catalogue, judged_items, replace=False)
        of_item = dict(zip(judged.tolist(), grades[query].tolist(), strict=True))
        ranking = random.choice(catalogue, listed, replace=False).tolist()
        qrels[str(query)] = {str(item): grade for item, grade in of_item.items()}
        run[str(query)] = {str(item): float(-rank) for rank, item in enumerate(ranking)}
        gains[query] = [of_item.get(item, 0) for item in ranking]
        relevant[query] = gains[query] >= 2
    measures = {"ndcg_cut.10", "recall.50", "recip_rank"}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, measures, relevance_level=2)
    expected = evaluator.evaluate(run)
    total = (grades >= 2).sum(1)
    judged_gains = grades.astype(np.float64)
    for name, ours in {
        "ndcg_cut_10": ndcg(gains, judged_gains, 10),
        "recall_50": recall(relevant, total, 50),
        "recip_rank": reciprocal_rank(relevant, total),
    }.items():
        theirs = [expected[str(query)][name] for query in range(queries)]
        # trec_eval gives 0 for queries for which our metric is undefined.
        assert np.nan_to_num(ours) == pytest.approx(theirs, abs=1e-6), name


def test_bootstrap_interval_matches_the_normal_one_on_many_queries():
    values = np.random.default_rng(0).normal(0.4, 0.2, 2_000)
    found = bootstrap(values)
    error = values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.05 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.05 * error)
    assert found.queries == 2_000


def test_bootstrap_leaves_out_queries_where_the_metric_is_not_defined():
    found = bootstrap(np.array([1.0, np.nan, 0.0, np.nan]))
    assert (found.mean, found.queries) == (0.5, 2)


def test_bootstrap_repeats_itself():
    values = np.random.default_rng(1).random(50)
    assert bootstrap(values) == bootstrap(values.copy())
    assert bootstrap(values) != bootstrap(values, seed=1)


@pytest.mark.parametrize("chunk", [10, 1_000])
def test_bootstrap_draws_in_parts_as_it_would_at_once(chunk):
    values = np.random.default_rng(1).random(30)
    assert bootstrap(values, chunk=chunk) == bootstrap(values)


def test_bootstrap_keeps_few_resampled_values_in_memory():
    values = np.random.default_rng(1).random(1_000)
    tracemalloc.start()
    try:
        bootstrap(values, resamples=1_000, chunk=10_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20  # all resampled values together take 8 MB


def test_bootstrap_draws_as_many_samples_as_it_says():
    values = np.random.default_rng(1).random(30)
    assert bootstrap(values) == bootstrap(values, resamples=10_000)
    assert bootstrap(values) != bootstrap(values, resamples=9_999)
    one = bootstrap(values, resamples=1)
    assert one.low == one.high != one.mean


def test_bootstrap_of_a_constant_difference_excludes_zero():
    a = np.random.default_rng(2).random(100)
    found = bootstrap(a - (a - 0.01))
    assert found.low > 0
    assert found.high == pytest.approx(0.01)


def test_bootstrap_of_one_query_and_of_none():
    one = bootstrap(np.array([0.25]))
    assert (one.mean, one.low, one.high, one.queries) == (0.25, 0.25, 0.25, 1)
    none = bootstrap(np.array([np.nan]))
    assert none.queries == 0
    assert np.isnan([none.mean, none.low, none.high]).all()


@pytest.mark.parametrize(
    ("low", "high", "queries", "verdict"),
    [
        (0.1, 0.3, 30, "better"),
        (0.1, 0.3, 29, "too few to tell"),
        (-0.3, -0.1, 30, "worse"),
        (-0.1, 0.1, 1_000, "no difference"),
        (0.0, 0.2, 1_000, "no difference"),
        (float("nan"), float("nan"), 0, "too few to tell"),
    ],
)
def test_a_verdict_needs_thirty_queries_and_an_interval_on_one_side_of_zero(
    low, high, queries, verdict
):
    assert Interval((low + high) / 2, low, high, queries).verdict == verdict
