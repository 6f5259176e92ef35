"""Metrics of recommendations, on paper-sized lists and against all orders of tied items."""

from itertools import permutations
from math import log2

import numpy as np
import pytest
from scipy import sparse

from train.evaluation.recommend.metrics import (
    TargetRanks,
    all_metrics,
    coverage,
    ndcg,
    novelty,
    recall,
    reciprocal_rank,
    top_items,
)


def ranks(scores, targets):
    matrix = sparse.csr_matrix(np.atleast_2d(targets).astype(np.float32))
    return TargetRanks.of(np.atleast_2d(np.array(scores, np.float32)), matrix)


def test_metrics_without_ties():
    r = ranks([0.1, 0.9, 0.5, 0.7], [1, 0, 1, 0])  # the targets have ranks 4 and 3
    assert r.above.tolist() == [3, 2]
    assert recall(r, 3).tolist() == [0.5]
    assert ndcg(r, 3)[0] == pytest.approx((1 / log2(4)) / (1 + 1 / log2(3)))
    assert reciprocal_rank(r)[0] == pytest.approx(1 / 3)


def test_ties_count_the_mean_over_all_orders():
    scores, targets = np.array([3.0, 1.0, 1.0, 1.0, 1.0, 0.0]), np.array([0, 1, 1, 0, 0, 1])
    r = ranks(scores, targets)
    recalls, gains, firsts = [], [], []
    for order in permutations(range(1, 5)):
        places = {0: 1, 5: 6} | {item: 2 + place for place, item in enumerate(order)}
        hits = sorted(places[item] for item in np.flatnonzero(targets))
        recalls.append(sum(rank <= 3 for rank in hits) / 3)
        gains.append(sum(1 / log2(rank + 1) for rank in hits if rank <= 3))
        firsts.append(1 / hits[0])
    assert recall(r, 3)[0] == pytest.approx(np.mean(recalls))
    assert ndcg(r, 3)[0] == pytest.approx(np.mean(gains) / (1 + 1 / log2(3) + 1 / log2(4)))
    assert reciprocal_rank(r)[0] == pytest.approx(np.mean(firsts))


def test_many_and_few_targets_have_the_same_ranks():
    random = np.random.default_rng(0)
    scores, many = random.integers(0, 9, 60), random.random(60) < 0.6
    assert many.sum() > 16
    some = ranks(scores, many)
    for place, item in enumerate(np.flatnonzero(many)):
        one = ranks(scores, np.arange(60) == item)
        assert (one.above[0], one.tied[0]) == (some.above[place], some.tied[place])


def test_excluded_items_have_no_rank():
    assert ranks([-np.inf, 0.5, 0.9], [0, 1, 0]).above.tolist() == [1]


def test_a_user_without_targets_has_no_metrics():
    r = ranks([[0.1, 0.9], [0.2, 0.3]], [[0, 0], [1, 0]])
    for values in all_metrics(r).values():
        assert np.isnan(values).tolist() == [True, False]


def test_ranks_of_batches_are_joined():
    first, second = ranks([0.1, 0.9], [1, 0]), ranks([[0.5, 0.2], [0.5, 0.7]], [[0, 0], [0, 1]])
    joined = TargetRanks.concatenate([first, second])
    assert (joined.users, joined.user.tolist(), joined.above.tolist()) == (3, [0, 2], [1, 0])


def test_top_items_are_best_first_and_in_one_order_of_ties():
    scores = np.array([[0, 2, 1, 1], [0, 0, 0, 0]], np.float32)
    top = top_items(scores, 3)
    assert top[0, 0] == 1
    assert set(top[0, 1:]) == {2, 3}
    assert sorted(top[0, 1:], key=top_items(scores[1:], 4)[0].tolist().index) == top[0, 1:].tolist()


def test_coverage_and_novelty():
    top = np.array([[0, 1], [1, 1]])
    assert coverage(top, 4) == 0.5
    counts = np.array([3, 0, 0, 0], np.float32)  # shares 4/7 and 1/7
    np.testing.assert_allclose(novelty(top, counts), [(log2(7 / 4) + log2(7)) / 2, log2(7)])


def test_excluded_items_are_no_results():
    top = top_items(np.array([[-np.inf, 2, 1], [-np.inf] * 3], np.float32), 3)
    assert top.tolist() == [[1, 2, -1], [-1, -1, -1]]
    assert coverage(top, 3) == pytest.approx(2 / 3)
    bits = novelty(top, np.array([1, 0, 2], np.float32))  # shares 2/6, 1/6 and 3/6
    np.testing.assert_allclose(bits, [(log2(6) + log2(2)) / 2, np.nan])


def test_a_score_that_is_no_number_is_refused():
    targets = sparse.csr_matrix(np.array([[0, 1]]))
    with pytest.raises(ValueError, match="NaN"):
        TargetRanks.of(np.array([[np.nan, 1]], np.float32), targets)
