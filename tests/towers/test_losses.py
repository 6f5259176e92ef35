from math import exp, log

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from towers.losses import symmetric_in_batch_softmax

ALL = np.ones((2, 2), bool)


def loss_of(cosines, where=None, weights=None, temperature=1.0) -> float:
    cosines = jnp.array(cosines, jnp.float32)
    size = len(cosines)
    return float(
        symmetric_in_batch_softmax(
            cosines,
            jnp.log(jnp.float32(temperature)),
            where=jnp.ones((size, size), bool) if where is None else jnp.array(where),
            weights=jnp.ones(size) if weights is None else jnp.array(weights, jnp.float32),
        )
    )


def test_two_pairs_are_worked_out_on_paper():
    # Temperature 0.5 doubles the cosines to the logits [[2, 0], [1, 1]].
    rows = [log(1 + exp(-2)), log(2)]
    columns = [log(1 + exp(-1)), log(1 + exp(-1))]
    expected = sum((r + c) / 2 for r, c in zip(rows, columns, strict=True)) / 2
    assert loss_of([[1, 0], [0.5, 0.5]], temperature=0.5) == pytest.approx(expected, rel=1e-6)


def test_equal_cosines_cost_the_logarithm_of_the_batch():
    assert loss_of(np.full((8, 8), 0.3)) == pytest.approx(log(8), rel=1e-6)


def test_a_false_negative_leaves_both_softmaxes():
    # Item 1 is relevant for query 0 too, so the pair is masked. The row of query 0 has only item 0,
    # and the column of item 1 only query 1: both losses are 0.
    where = [[True, False], [True, True]]
    row_1 = log(1 + exp(0.2 - 0.9))
    column_0 = log(1 + exp(0.2 - 0.8))
    expected = ((0 + column_0) / 2 + (row_1 + 0) / 2) / 2
    assert loss_of([[0.8, 0.7], [0.2, 0.9]], where) == pytest.approx(expected, rel=1e-6)


def test_the_pair_itself_counts_whatever_the_mask_says():
    cosines = [[0.8, 0.7], [0.2, 0.9]]
    assert loss_of(cosines, ~np.eye(2, dtype=bool)) == loss_of(cosines, ALL)


def test_with_everything_masked_the_loss_and_its_gradient_are_zero():
    nothing = np.zeros((3, 3), bool)
    cosines = jnp.array(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)

    def loss(cosines):
        return symmetric_in_batch_softmax(
            cosines, jnp.float32(0), where=jnp.array(nothing), weights=jnp.ones(3)
        )

    value, gradient = jax.value_and_grad(loss)(cosines)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_gradients_are_finite_beside_masked_logits():
    where = jnp.array([[True, False], [True, True]])

    def loss(cosines, log_temperature):
        return symmetric_in_batch_softmax(
            cosines, log_temperature, where=where, weights=jnp.ones(2)
        )

    gradients = jax.grad(loss, argnums=(0, 1))(jnp.eye(2), jnp.log(jnp.float32(0.05)))
    assert all(np.isfinite(g).all() for g in gradients)
    assert gradients[0][0, 1] == 0  # the gradient of a masked score


def test_pairs_count_by_their_weight():
    cosines = [[0.8, 0.7], [0.2, 0.9]]
    first, second = loss_of(cosines, weights=[1, 0]), loss_of(cosines, weights=[0, 1])
    expected = (3 * first + 1 * second) / 4
    for unit in (1, 0.25, 0.1):
        found = loss_of(cosines, weights=[3 * unit, unit])
        assert found == pytest.approx(expected, rel=1e-6)


def test_without_any_weight_the_loss_is_zero():
    assert loss_of(np.eye(2), weights=[0, 0]) == 0


def test_one_pair_has_nothing_to_be_told_from():
    assert loss_of([[0.1]]) == 0
