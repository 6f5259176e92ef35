"""Dense products and the GELU, with gradients of their own: where the time of a BERT goes.

What JAX derives is correct and slower. It leaves to XLA in which layout a gradient's products run,
takes their inputs in float32 also where the forward pass has bfloat16 units to use, and computes
the error function of a GELU once more in the backward pass for each of its two uses.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def precision(dtype: DTypeLike) -> jax.lax.Precision:
    """float32 means float32, also on platforms that would rather multiply in less."""
    full = jnp.dtype(dtype) == jnp.float32
    return jax.lax.Precision.HIGHEST if full else jax.lax.Precision.DEFAULT


def dense(
    x: Float[Array, "*rows inputs"],
    kernel: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"],
    dtype: DTypeLike,
) -> Float[Array, "*rows outputs"]:
    """`x @ kernel + bias`, with inputs of the product in `dtype` and float32 accumulation.

    Every dense product of the model is this one. Its gradients are products of the same kind.
    """
    rows = x.reshape(-1, x.shape[-1])
    product = _product(rows, kernel, bias, jnp.dtype(dtype))
    return product.reshape(*x.shape[:-1], kernel.shape[1])


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _product(
    x: Float[Array, "rows inputs"],
    kernel: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"],
    dtype: DTypeLike,
) -> Float[Array, "rows outputs"]:
    return _contract(x, kernel, 1, 0, dtype) + bias[None]


def _product_forward(
    x: Array, kernel: Array, bias: Array, dtype: DTypeLike
) -> tuple[Array, tuple[Array, Array]]:
    return _product(x, kernel, bias, dtype), (x.astype(dtype), kernel)


def _product_backward(
    dtype: DTypeLike, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array, Array]:
    x, kernel = saved
    of_x = _contract(gradient, kernel, 1, 1, dtype)
    of_kernel = _contract(_turned(x), gradient, 1, 0, dtype)
    return of_x, of_kernel.astype(kernel.dtype), gradient.sum(axis=0)


_product.defvjp(_product_forward, _product_backward)


def _contract(a: Array, b: Array, axis_a: int, axis_b: int, dtype: DTypeLike) -> Array:
    return jax.lax.dot_general(
        a.astype(dtype),
        b.astype(dtype),
        (((axis_a,), (axis_b,)), ((), ())),
        preferred_element_type=jnp.float32,
        precision=precision(dtype),
    )


def _turned(x: Array) -> Array:
    """`x.T`, laid out anew.

    XLA would rather have the product read `x` as it lies. On CPUs no kernel for bfloat16 does, so
    both inputs are converted and the product is a float32 one, at half the rate.
    """
    rows_first = Layout(major_to_minor=(0, 1))
    turned: Array = with_layout_constraint(x.T, rows_first)
    return turned


@jax.custom_vjp
def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`x * Phi(x)` with the normal distribution's exact Phi (Hendrycks and Gimpel, 2016).

    Hugging Face calls it "gelu"; `jax.nn.gelu` approximates it unless told otherwise.
    """
    return x * _normal_distribution(x)


def _gelu_forward(x: Array) -> tuple[Array, Array]:
    return gelu(x), x


def _gelu_backward(x: Array, gradient: Array) -> tuple[Array]:
    density = jnp.exp(-0.5 * jnp.square(x)) / math.sqrt(2 * math.pi)
    return (gradient * (_normal_distribution(x) + x * density),)


def _normal_distribution(x: Array) -> Array:
    # By erf: `jax.nn.gelu` takes erfc, which keeps digits of the far tail that a product with x
    # loses, and costs twice as much.
    return 0.5 + 0.5 * jax.lax.erf(x * math.sqrt(0.5))


gelu.defvjp(_gelu_forward, _gelu_backward)
