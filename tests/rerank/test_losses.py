from math import exp, log

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rax

from rerank.losses import pairwise_logistic, weighted_listwise_softmax


def loss_of(scores, gains, where=None, weights=None) -> float:
    shape = np.shape(scores)
    return float(
        weighted_listwise_softmax(
            jnp.array(scores, jnp.float32),
            jnp.array(gains, jnp.float32),
            where=jnp.ones(shape, bool) if where is None else jnp.array(where),
            weights=jnp.ones(shape) if weights is None else jnp.array(weights, jnp.float32),
        )
    )


def test_the_loss_of_a_list_is_the_arithmetic_of_its_formula():
    # The gains 3 and 1 sum to 4, so the target shares are 3/4 and 1/4.
    total = exp(1) + exp(0) + exp(-1)
    expected = -(3 / 4) * (1 - log(total)) - (1 / 4) * (0 - log(total))
    assert loss_of([[1, 0, -1]], [[3, 1, 0]]) == pytest.approx(expected, rel=1e-6)


def test_with_weights_of_one_it_is_the_softmax_loss_of_rax():
    random = np.random.default_rng(0)
    scores = random.normal(size=(6, 9)).astype(np.float32)
    gains = random.integers(0, 4, (6, 9)).astype(np.float32)
    where = random.random((6, 9)) < 0.7
    gains[:, 0], where[:, 0] = 2, True
    # rax does not normalise gains, so normalise them first.
    normal = np.where(where, gains, 0)
    normal /= normal.sum(axis=1, keepdims=True)
    expected = rax.softmax_loss(scores, jnp.array(normal), where=jnp.array(where))
    assert loss_of(scores, gains, where) == pytest.approx(float(expected), rel=1e-5)


def test_a_negative_of_half_weight_counts_half_in_the_denominator():
    expected = -(1 - log(exp(1) + 0.5 * exp(2)))
    assert loss_of([[1, 2]], [[1, 0]], weights=[[1, 0.5]]) == pytest.approx(expected, rel=1e-6)


def test_padding_changes_nothing():
    alone = loss_of([[1, 0, -1]], [[3, 1, 0]])
    where = [[True, True, True, False]]
    for score, gain in ((9.0, 5.0), (-9.0, 0.0)):
        padded = loss_of([[1, 0, -1, score]], [[3, 1, 0, gain]], where)
        assert padded == pytest.approx(alone, rel=1e-6)


def test_lists_without_gain_are_left_out_of_the_mean():
    alone = loss_of([[1, 0]], [[1, 0]])
    assert loss_of([[1, 0], [5, 2]], [[1, 0], [0, 0]]) == pytest.approx(alone, rel=1e-6)
    assert loss_of([[1, 0]], [[0, 0]]) == 0


def test_the_unit_of_gains_changes_nothing():
    alone = loss_of([[1, 0, -1]], [[3, 1, 0]])
    assert loss_of([[1, 0, -1]], [[0.3, 0.1, 0]]) == pytest.approx(alone, rel=1e-6)
    assert loss_of([[1, 0, -1]] * 2, [[0.3, 0.1, 0]] * 2) == pytest.approx(alone, rel=1e-6)


def test_lists_may_have_any_number_of_leading_axes():
    lists = loss_of([[1, 0, -1], [0, 2, 1]], [[3, 1, 0], [0, 1, 1]])
    assert loss_of([[[1, 0, -1]], [[0, 2, 1]]], [[[3, 1, 0]], [[0, 1, 1]]]) == lists
    assert loss_of([1, 0, -1], [3, 1, 0]) == loss_of([[1, 0, -1]], [[3, 1, 0]])


def test_the_loss_of_one_candidate_is_zero():
    assert loss_of([[3.0]], [[2.0]]) == 0


def test_tied_scores_have_equal_shares():
    assert loss_of([[2, 2, 2, 2]], [[1, 0, 0, 0]]) == pytest.approx(log(4), rel=1e-6)


def test_gradients_are_finite_when_a_list_is_all_padding():
    where = jnp.array([[True, True], [False, False]])

    def loss(scores):
        gains, weights = jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.ones((2, 2))
        return weighted_listwise_softmax(scores, gains, where=where, weights=weights)

    gradient = jax.grad(loss)(jnp.array([[0.5, 0.1], [0.3, 0.3]]))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[1], 0)
    assert gradient[0, 0] < 0 < gradient[0, 1]


def order_of(scores, gains, where=None) -> float:
    mask = jnp.ones(np.shape(scores), bool) if where is None else jnp.array(where)
    return float(
        pairwise_logistic(jnp.array(scores, jnp.float32), jnp.array(gains, jnp.float32), where=mask)
    )


def test_the_loss_of_pairs_is_the_arithmetic_of_its_formula():
    # A pair is weighted by its difference in gain: 2 for the first and third item, 1 for the
    # first and second, 1 for the second and third. The weights sum to 4.
    expected = (2 * log(1 + exp(-2)) + log(1 + exp(-1)) + log(1 + exp(-1))) / 4
    assert order_of([[1, 0, -1]], [[2, 1, 0]]) == pytest.approx(expected, rel=1e-6)


def test_a_small_difference_in_gain_counts_once():
    assert order_of([[1, 0]], [[0.25, 0.5]]) == pytest.approx(log(1 + exp(1)), rel=1e-6)


def test_with_gaps_of_one_it_is_the_pairwise_logistic_loss_of_rax():
    random = np.random.default_rng(0)
    scores = random.normal(size=(5, 7)).astype(np.float32)
    gains = random.integers(0, 2, (5, 7)).astype(np.float32)
    where = random.random((5, 7)) < 0.8
    pairs = sum((gains[n][where[n]] == 1).sum() * (gains[n][where[n]] == 0).sum() for n in range(5))
    total = rax.pairwise_logistic_loss(
        scores, gains, where=jnp.array(where), reduce_fn=jnp.sum, lambdaweight_fn=None
    )
    assert order_of(scores, gains, where) == pytest.approx(float(total) / pairs, rel=1e-5)


def test_without_a_pair_the_loss_is_zero():
    assert order_of([[3.0]], [[2.0]]) == 0
    assert order_of([[1, 2, 3]], [[1, 1, 1]]) == 0
    assert order_of([[1, 2]], [[0, 1]], [[True, False]]) == 0


def test_the_gradient_of_pairs_raises_the_better_item():
    def loss(scores):
        gains, where = jnp.array([[2.0, 1.0, 9.0]]), jnp.array([[True, True, False]])
        return pairwise_logistic(scores, gains, where=where)

    gradient = jax.grad(loss)(jnp.zeros((1, 3)))
    assert gradient[0, 0] < 0 < gradient[0, 1]
    assert gradient[0, 2] == 0
