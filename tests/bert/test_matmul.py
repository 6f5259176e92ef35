from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bert.matmul import dense, gelu
from tests.jaxprs import input_types, products


def inputs(rows=(3, 5), width=7, outputs=4):
    random = np.random.default_rng(0)
    shapes = ((*rows, width), (width, outputs), (outputs,))
    return [jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes]


@pytest.mark.parametrize("rows", [(6,), (3, 5), (2, 3, 4)])
def test_dense_is_a_product_and_a_bias(rows):
    x, kernel, bias = inputs(rows)
    expected = np.asarray(x) @ np.asarray(kernel) + np.asarray(bias)
    np.testing.assert_allclose(dense(x, kernel, bias, jnp.float32), expected, atol=1e-6)


@pytest.mark.parametrize("rows", [(6,), (3, 5)])
def test_gradients_of_dense_are_those_that_jax_derives(rows):
    def loss(product, args):
        return jnp.sin(product(*args)).sum()

    ours = jax.grad(partial(loss, lambda *args: dense(*args, jnp.float32)))(inputs(rows))
    plain = jax.grad(
        partial(
            loss,
            lambda x, kernel, bias: (
                jnp.dot(x, kernel, precision="highest") + bias[(None,) * len(rows)]
            ),
        )
    )
    for one, other in zip(ours, plain(inputs(rows)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_products_take_bfloat16_inputs_forward_and_backward():
    gradients = jax.grad(lambda *args: dense(*args, jnp.bfloat16).sum(), (0, 1))
    types = list(map(input_types, products(jax.make_jaxpr(gradients)(*inputs()).jaxpr)))
    assert types == 3 * [["bfloat16", "bfloat16"]]  # forward and both gradients
    of_x, of_kernel = jax.grad(lambda *args: dense(*args, jnp.bfloat16).sum(), (0, 1))(*inputs())
    exact = jax.grad(lambda *args: dense(*args, jnp.float32).sum(), (0, 1))(*inputs())
    for ours, expected in zip((of_x, of_kernel), exact, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, expected, rtol=2e-2, atol=5e-2)


def test_gelu_and_its_gradient_are_the_exact_ones():
    x = jnp.linspace(-12, 12, 4001)
    np.testing.assert_allclose(gelu(x), jax.nn.gelu(x, approximate=False), rtol=0, atol=1e-6)
    ours = jax.vmap(jax.grad(gelu))(x)
    expected = jax.vmap(jax.grad(lambda x: jax.nn.gelu(x, approximate=False)))(x)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert np.isfinite(jax.grad(lambda x: gelu(x).sum())(jnp.float32([-1e20, 0.0, 1e20]))).all()
