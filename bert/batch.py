"""Batches of tokenised texts, padded or packed: which tokens belong together, and their means."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bert.matmul import precision


class Tokens(NamedTuple):
    """A padded batch of token rows, as NumPy or JAX arrays (a pytree).

    Attributes:
        ids: word-piece ids, `Int["batch length"]`.
        mask: True where a token is real, `Bool["batch length"]`.
        types: 0 in the first text and 1 in the second, `Int["batch length"]`.
    """

    ids: Int[Array, "batch length"] | Int[np.ndarray, "batch length"]
    mask: Bool[Array, "batch length"] | Bool[np.ndarray, "batch length"]
    types: Int[Array, "batch length"] | Int[np.ndarray, "batch length"]


class Packed(NamedTuple):
    """Several texts laid end to end in each row, as NumPy or JAX arrays (a pytree).

    Training packs its batches: hardly any padding, and one shape for a whole run.

    Attributes:
        ids: word-piece ids, `Int["rows length"]`.
        texts: number of the text a token belongs to, -1 for padding, `Int["rows length"]`. Tokens
            attend to those of their own text alone.
        types: 0 in the first part of a text and 1 in the second, `Int["rows length"]`.
        positions: place of a token in its text, `Int["rows length"]`.
        starts: where each text's [CLS] lies, counted over all rows, `Int["texts"]`.
    """

    ids: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    texts: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    types: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    positions: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    starts: Int[Array, " texts"] | Int[np.ndarray, " texts"]


class PackedRows(NamedTuple):
    """The same, with each row by itself: rows of several batches may be put together.

    Serving packs its pairs so.

    Attributes:
        ids: word-piece ids, `Int["rows length"]`.
        texts: number within its row of the text a token belongs to, -1 for padding,
            `Int["rows length"]`; of rows that are all padding nothing is read.
        types: 0 in the first part of a text and 1 in the second, `Int["rows length"]`.
        positions: place of a token in its text, `Int["rows length"]`.
        starts: where in its row each text's [CLS] lies, 0 for texts that a row does not have,
            `Int["rows texts"]`.
    """

    ids: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    texts: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    types: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    positions: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    starts: Int[Array, "rows texts"] | Int[np.ndarray, "rows texts"]


def attention_mask(tokens: Tokens | Packed | PackedRows) -> Bool[Array, "batch queries length"]:
    """Which tokens (last axis) a token may attend to; one line for a whole row unless packed."""
    if not isinstance(tokens, Tokens):
        texts = jnp.asarray(tokens.texts)
        return (texts[:, :, None] == texts[:, None, :]) & (texts >= 0)[:, None, :]
    return jnp.asarray(tokens.mask)[:, None, :]


def mean_pool(
    hidden: Float[Array, "batch length hidden"],
    mask: Bool[Array, "batch length"] | Bool[np.ndarray, "batch length"],
) -> Float[Array, "batch hidden"]:
    """Mean of the hidden states of real tokens; zeros for a row without any."""
    weights = jnp.asarray(mask, hidden.dtype)
    total = jnp.einsum("blh,bl->bh", hidden, weights, precision=precision(hidden.dtype))
    return total / jnp.maximum(weights.sum(axis=1, keepdims=True), 1.0)


def mean_pool_packed(
    hidden: Float[Array, "rows length hidden"], packed: Packed
) -> Float[Array, "texts hidden"]:
    """Mean of the hidden states of each text's tokens."""
    count = packed.starts.shape[0]
    owners = jnp.asarray(packed.texts).reshape(-1)
    owners = jnp.where(owners < 0, count, owners)
    total = jax.ops.segment_sum(hidden.reshape(-1, hidden.shape[-1]), owners, count + 1)
    sizes = jax.ops.segment_sum(jnp.ones(owners.shape), owners, count + 1)
    return total[:count] / jnp.maximum(sizes[:count, None], 1.0)
