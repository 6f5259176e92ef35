"""Batches of tokenised texts, padded or packed, with their attention masks and mean pooling."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bert.matmul import precision


class Tokens(NamedTuple):
    """A padded batch of token rows, as NumPy or JAX arrays (a pytree).

    Attributes:
        ids: Word-piece ids, `Int["batch length"]`.
        mask: True for a real token, False for padding, `Bool["batch length"]`.
        types: 0 for tokens of the first text, 1 for the second text, `Int["batch length"]`.
    """

    ids: Int[Array, "batch length"] | Int[np.ndarray, "batch length"]
    mask: Bool[Array, "batch length"] | Bool[np.ndarray, "batch length"]
    types: Int[Array, "batch length"] | Int[np.ndarray, "batch length"]


class Packed(NamedTuple):
    """Several texts laid end to end in each row, as NumPy or JAX arrays (a pytree).

    Training packs its batches. Packed batches have hardly any padding, and all have one shape.

    Attributes:
        ids: Word-piece ids, `Int["rows length"]`.
        texts: Number of the text that each token belongs to, -1 for padding, `Int["rows length"]`.
            A token attends only to tokens of its own text.
        types: 0 for tokens of a text's first part, 1 for its second part, `Int["rows length"]`.
        positions: Position of each token in its text, `Int["rows length"]`.
        starts: Position of each text's [CLS] in the flattened rows, `Int["texts"]`.
    """

    ids: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    texts: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    types: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    positions: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    starts: Int[Array, " texts"] | Int[np.ndarray, " texts"]


class PackedRows(NamedTuple):
    """Packed texts that are numbered within each row, as NumPy or JAX arrays (a pytree).

    Serving packs query-item pairs like this, so that rows of several callers can share a batch.

    Attributes:
        ids: Word-piece ids, `Int["rows length"]`.
        texts: Number, within the row, of the text that each token belongs to, -1 for padding,
            `Int["rows length"]`. The model's result for a row of padding is not used.
        types: 0 for tokens of a text's first part, 1 for its second part, `Int["rows length"]`.
        positions: Position of each token in its text, `Int["rows length"]`.
        starts: Position of each text's [CLS] in its row, `Int["rows texts"]`. After the row's last
            text, the positions are 0.
    """

    ids: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    texts: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    types: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    positions: Int[Array, "rows length"] | Int[np.ndarray, "rows length"]
    starts: Int[Array, "rows texts"] | Int[np.ndarray, "rows texts"]


def attention_mask(tokens: Tokens | Packed | PackedRows) -> Bool[Array, "batch queries length"]:
    """Return which tokens (last axis) each token attends to.

    For `Tokens`, the `queries` axis has the size 1, because all tokens of a row attend to the same
    tokens.
    """
    if not isinstance(tokens, Tokens):
        texts = jnp.asarray(tokens.texts)
        return (texts[:, :, None] == texts[:, None, :]) & (texts >= 0)[:, None, :]
    return jnp.asarray(tokens.mask)[:, None, :]


def mean_pool(
    hidden: Float[Array, "batch length hidden"],
    mask: Bool[Array, "batch length"] | Bool[np.ndarray, "batch length"],
) -> Float[Array, "batch hidden"]:
    """Average the hidden states of each row's real tokens; a row of padding gives zeros."""
    weights = jnp.asarray(mask, hidden.dtype)
    total = jnp.einsum("blh,bl->bh", hidden, weights, precision=precision(hidden.dtype))
    return total / jnp.maximum(weights.sum(axis=1, keepdims=True), 1.0)


def mean_pool_packed(
    hidden: Float[Array, "rows length hidden"], packed: Packed
) -> Float[Array, "texts hidden"]:
    """Average the hidden states of each text's tokens."""
    count = packed.starts.shape[0]
    owners = jnp.asarray(packed.texts).reshape(-1)
    owners = jnp.where(owners < 0, count, owners)
    total = jax.ops.segment_sum(hidden.reshape(-1, hidden.shape[-1]), owners, count + 1)
    sizes = jax.ops.segment_sum(jnp.ones(owners.shape), owners, count + 1)
    return total[:count] / jnp.maximum(sizes[:count, None], 1.0)
