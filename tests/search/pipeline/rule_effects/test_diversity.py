"""Maximal marginal relevance, compared with results calculated by hand and with its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pipeline.rule_effects.diversity import mmr_order


def unit(degrees):
    angles = np.radians(np.asarray(degrees, np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_near_double_gives_way_to_something_else():
    # Relevance is 1, 0.9, 0.5 and 0, and the first item leads. Then its double has the value
    # 0.5 * 0.9 - 0.5 * 1 = -0.05, the third item 0.5 * 0.5 - 0.5 * 0 = 0.25, and the last item,
    # whose vector is opposite, 0 - 0.5 * -1 = 0.5.
    scores, vectors = np.array([10.0, 9.0, 5.0, 0.0]), unit([0, 0, 90, 180])
    assert mmr_order(scores, vectors, 0.5).tolist() == [0, 3, 2, 1]
    # With diversity 0.2, the values 0.72 - 0.2, 0.4 - 0 and 0 + 0.2 keep the order of scores.
    assert mmr_order(scores, vectors, 0.2).tolist() == [0, 1, 2, 3]


def test_scores_alone_and_difference_alone():
    scores, vectors = np.array([1.0, 3.0, 2.0]), unit([0, 10, 20])
    assert mmr_order(scores, vectors, 0.0).tolist() == [1, 2, 0]
    # With diversity 1, the item with the best score still comes first.
    assert mmr_order(scores, unit([0, 10, 20]), 1.0).tolist()[0] == 1
    assert mmr_order(np.array([1.0, 3.0, 2.0]), unit([90, 0, 5]), 1.0).tolist() == [1, 0, 2]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_equals_stay_as_they_are(count):
    scores, vectors = np.full(count, 2.0), unit([30] * count)
    assert mmr_order(scores, vectors, 0.5).tolist() == list(range(count))


@given(
    st.lists(
        st.tuples(st.integers(-50, 50), st.integers(0, 35)), min_size=1, max_size=12, unique=True
    ),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]),
)
def test_each_is_the_best_of_those_left_by_the_definition(items, diversity):
    scores = np.array([float(score) for score, _ in items])
    vectors = unit([10 * place for _, place in items])
    order = mmr_order(scores, vectors, diversity).tolist()
    assert sorted(order) == list(range(len(items)))
    low, high = scores.min(), scores.max()
    relevance = [(s - low) / (high - low) if high > low else 0.0 for s in scores]
    assert relevance[order[0]] == max(relevance)

    def marginal(item, before):
        nearest = max(float(vectors[item] @ vectors[other]) for other in before)
        return (1 - diversity) * relevance[item] - diversity * nearest

    for place in range(1, len(order)):
        best = max(marginal(item, order[:place]) for item in order[place:])
        assert marginal(order[place], order[:place]) == pytest.approx(best, abs=1e-6)
