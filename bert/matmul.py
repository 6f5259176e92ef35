"""Dense products and the GELU, with hand-written gradients.

A BERT spends most of its time in these functions. The gradients that JAX derives are correct, but
slower. They leave the layout of their products to XLA, and read float32 even if the forward pass
reads bfloat16. In the backward pass, they compute the error function of a GELU twice.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def precision(dtype: DTypeLike) -> jax.lax.Precision:
    """Return the precision that keeps float32 products in full float32 on every platform."""
    full = jnp.dtype(dtype) == jnp.float32
    return jax.lax.Precision.HIGHEST if full else jax.lax.Precision.DEFAULT


def dense(
    x: Float[Array, "*rows inputs"],
    kernel: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"],
    dtype: DTypeLike,
) -> Float[Array, "*rows outputs"]:
    """Compute `x @ kernel + bias`; the product reads `dtype` inputs and accumulates in float32.

    Every dense layer of the model uses this function. The products of its gradients also read
    `dtype` inputs and accumulate in float32.
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
    x_gradient = _contract(gradient, kernel, 1, 1, dtype)
    kernel_gradient = _contract(_transposed(x), gradient, 1, 0, dtype)
    return x_gradient, kernel_gradient.astype(kernel.dtype), gradient.sum(axis=0)


_product.defvjp(_product_forward, _product_backward)


def _contract(a: Array, b: Array, axis_a: int, axis_b: int, dtype: DTypeLike) -> Array:
    return jax.lax.dot_general(
        a.astype(dtype),
        b.astype(dtype),
        (((axis_a,), (axis_b,)), ((), ())),
        preferred_element_type=jnp.float32,
        precision=precision(dtype),
    )


def _transposed(x: Array) -> Array:
    """Return `x.T` as a copy with its own memory layout.

    Without the copy, XLA makes the product read `x` itself, with the axes exchanged. On CPUs, no
    bfloat16 kernel can read exchanged axes. XLA then converts both inputs to float32 and multiplies
    at half the rate.
    """
    rows_first = Layout(major_to_minor=(0, 1))
    copy: Array = with_layout_constraint(x.T, rows_first)
    return copy


@jax.custom_vjp
def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compute `x * Phi(x)`, where Phi is the exact distribution function of the standard normal.

    Source: Hendrycks and Gimpel, 2016. Hugging Face calls this function "gelu". By default,
    `jax.nn.gelu` computes an approximation.
    """
    return x * _normal_distribution(x)


def _gelu_forward(x: Array) -> tuple[Array, Array]:
    return gelu(x), x


def _gelu_backward(x: Array, gradient: Array) -> tuple[Array]:
    density = jnp.exp(-0.5 * jnp.square(x)) / math.sqrt(2 * math.pi)
    return (gradient * (_normal_distribution(x) + x * density),)


def _normal_distribution(x: Array) -> Array:
    # `jax.nn.gelu` computes erfc instead of erf, which takes twice the time. In the far tail, erfc
    # has more correct digits, but the product with x loses these digits again.
    return 0.5 + 0.5 * jax.lax.erf(x * math.sqrt(0.5))


gelu.defvjp(_gelu_forward, _gelu_backward)
