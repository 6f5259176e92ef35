"""BERT in Flax NNX: embeddings and self-attention layers.

The model is post-norm BERT (Devlin et al., 2019, arXiv 1810.04805) as Hugging Face's `BertModel`
computes it, without the pooler: erf GELU, learned positions, layer norm in float32. XLM-R and
RoBERTa are the same model, but their positions start at `first_position`. The model has no random
state. To compile it, call `graphdef, state = nnx.split(bert)` once, and
`nnx.merge(graphdef, state)` inside `jax.jit`. Every sub-module can be called on its own.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from base.errors import InputError
from bert.batch import Packed, PackedRows, Tokens, attention_mask
from bert.config import BertConfig
from bert.matmul import dense, gelu, precision

# Added to the attention scores of padding. In float32, exp() of the sum is exactly zero. With minus
# infinity, a row of padding would give NaN.
MASKED_SCORE = -1e9
INITIAL_STD = 0.02


def dropout(x: Float[Array, "*shape"], rate: float, key: Array | None) -> Float[Array, "*shape"]:
    """Zero a share `rate` of `x`, scale the rest by 1 / (1 - rate); without a key, return `x`."""
    if key is None or rate == 0:
        return x
    # Draw 16 random bits per element. They are precise enough, and take half the time of the 32
    # bits that `jax.random.bernoulli` draws.
    words = jax.random.bits(key, (math.ceil(x.size / 2),), jnp.uint32)
    draws = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[: x.size].reshape(x.shape)
    threshold = round((1 - rate) * 2**16)
    return jnp.where(draws < threshold, x * (2**16 / threshold), 0.0)


class Dense(nnx.Module):
    """A dense layer: `kernel` [inputs, outputs] and `bias` [outputs]."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(_normal(rngs, (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(
        self, x: Float[Array, "*rows inputs"], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*rows outputs"]:
        """Compute `x @ kernel + bias`."""
        return dense(x, self.kernel[...], self.bias[...], dtype)


class LayerNorm(nnx.Module):
    """Layer norm over the last axis, in float32."""

    def __init__(self, size: int, eps: float) -> None:
        self.scale = nnx.Param(jnp.ones(size))
        self.bias = nnx.Param(jnp.zeros(size))
        self.eps = eps

    def __call__(self, x: Float[Array, "*rows size"]) -> Float[Array, "*rows size"]:
        """Compute `(x - mean) / sqrt(variance + eps) * scale + bias`."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = jnp.square(centred).mean(axis=-1, keepdims=True)
        normal = centred * jax.lax.rsqrt(variance + self.eps)
        return normal * _along_last(self.scale[...], x.ndim) + _along_last(self.bias[...], x.ndim)


class Embeddings(nnx.Module):
    """Word, position and type embeddings, summed and normalised."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.word = nnx.Param(_normal(rngs, (config.vocab_size, config.hidden_size)))
        rows = config.first_position + config.max_positions
        self.position = nnx.Param(_normal(rngs, (rows, config.hidden_size)))
        self.type = nnx.Param(_normal(rngs, (config.type_vocab_size, config.hidden_size)))
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = config.dropout
        self.first_position = config.first_position

    def __call__(
        self, tokens: Tokens | Packed | PackedRows, dropout_key: Array | None = None
    ) -> Float[Array, "batch length hidden"]:
        """Embed a batch of tokens.

        A row of packed texts may have more tokens than the model has positions, but each text in
        the row must fit.

        Raises:
            ValueError: a padded row has more tokens than the model has positions.
        """
        length, first = tokens.ids.shape[1], self.first_position
        positions = self.position.shape[0] - first
        if length > positions and isinstance(tokens, Tokens):
            raise ValueError(f"{length} tokens, but BERT has {positions} positions")
        # Multiply by one-hot types instead of indexing. The gradient is then also a product, not a
        # slow scatter.
        types = jax.nn.one_hot(tokens.types, self.type.shape[0], dtype=jnp.float32)
        hidden = self.word[...][jnp.asarray(tokens.ids)]
        if isinstance(tokens, Tokens):
            hidden += self.position[...][None, first : first + length]
        else:
            hidden += self.position[...][jnp.asarray(tokens.positions) + first]
        hidden += jnp.einsum("blt,th->blh", types, self.type[...], precision=precision(types.dtype))
        return dropout(self.norm(hidden), self.dropout, dropout_key)


class Attention(nnx.Module):
    """Self-attention with its residual and norm; one kernel projects to query, key and value."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.qkv = Dense(config.hidden_size, 3 * config.hidden_size, rngs=rngs)
        self.output = Dense(config.hidden_size, config.hidden_size, rngs=rngs)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.num_heads = config.num_heads
        self.dropout = config.dropout

    def __call__(
        self,
        hidden: Float[Array, "batch length hidden"],
        mask: Bool[Array, "batch queries length"],
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch length hidden"]:
        """Apply attention to all tokens; `mask` says which tokens each token attends to."""
        query, key, value = self._heads(self.qkv(hidden, dtype), dtype)
        return self._mix(hidden, query, key, value, mask, dropout_key)

    def first(
        self,
        hidden: Float[Array, "rows length hidden"],
        tokens: Tokens | Packed | PackedRows,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "_ _ hidden"]:
        """Apply attention to the first token of each text; for `Packed`, return a row per text."""
        width = hidden.shape[-1]
        kernel, bias = self.qkv.kernel[...], self.qkv.bias[...]
        key, value = self._heads(dense(hidden, kernel[:, width:], bias[width:], dtype), dtype)
        mask = attention_mask(tokens)
        if isinstance(tokens, Packed):
            rows, positions = jnp.divmod(jnp.asarray(tokens.starts), hidden.shape[1])
            hidden = hidden[rows, positions][:, None]
            key, value, mask = key[rows], value[rows], mask[rows, positions][:, None]
        elif isinstance(tokens, PackedRows):
            positions = jnp.asarray(tokens.starts)[:, :, None]
            hidden = jnp.take_along_axis(hidden, positions, axis=1)
            mask = jnp.take_along_axis(mask, positions, axis=1)
        else:
            hidden = hidden[:, :1]
        (query,) = self._heads(dense(hidden, kernel[:, :width], bias[:width], dtype), dtype)
        return self._mix(hidden, query, key, value, mask, dropout_key)

    def _heads(
        self, parts: Float[Array, "batch length widths"], dtype: DTypeLike
    ) -> list[Float[Array, "batch heads length head"]]:
        """Split the projections (query, key, value, or some of them) into heads.

        In the result, the axis of heads is before the axis of tokens, so the products of attention
        read contiguous memory. On CPUs, this saves a tenth to a fifth of the whole model's time.
        The projections are transposed one by one, because XLA takes much longer for all at once.
        """
        batch, length, widths = parts.shape
        width = self.output.kernel.shape[0]
        return [
            part.reshape(batch, length, self.num_heads, -1).transpose(0, 2, 1, 3)
            for part in jnp.split(parts.astype(dtype), widths // width, axis=-1)
        ]

    def _mix(
        self,
        residual: Float[Array, "batch queries hidden"],
        query: Float[Array, "batch heads queries head"],
        key: Float[Array, "batch heads length head"],
        value: Float[Array, "batch heads length head"],
        mask: Bool[Array, "batch #queries length"],
        dropout_key: Array | None,
    ) -> Float[Array, "batch queries hidden"]:
        probability_key, output_key = _split(dropout_key)
        scores = _products("bnqd,bnkd->bnqk", query, key)
        masked = jnp.where(mask, 0.0, MASKED_SCORE)[:, None]  # [B, 1, 1 or Lq, Lk]
        weights = jax.nn.softmax(scores * query.shape[-1] ** -0.5 + masked, axis=-1)
        weights = dropout(weights, self.dropout, probability_key).astype(value.dtype)
        context = _products("bnqk,bnkd->bnqd", weights, value).transpose(0, 2, 1, 3)
        mixed = self.output(context.reshape(residual.shape), query.dtype)
        return self.norm(residual + dropout(mixed, self.dropout, output_key))


class Mlp(nnx.Module):
    """The MLP of each position, with its residual and norm."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.up = Dense(config.hidden_size, config.intermediate_size, rngs=rngs)
        self.down = Dense(config.intermediate_size, config.hidden_size, rngs=rngs)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = config.dropout

    def intermediate(
        self, hidden: Float[Array, "*rows hidden"], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*rows intermediate"]:
        """Compute the inner layer, including its GELU."""
        return gelu(self.up(hidden, dtype))

    def __call__(
        self,
        hidden: Float[Array, "*rows hidden"],
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "*rows hidden"]:
        """Transform each hidden state independently."""
        outer = self.down(self.intermediate(hidden, dtype), dtype)
        return self.norm(hidden + dropout(outer, self.dropout, dropout_key))


class Layer(nnx.Module):
    """One transformer layer: attention, then the MLP."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.attention = Attention(config, rngs=rngs)
        self.mlp = Mlp(config, rngs=rngs)

    def __call__(
        self,
        hidden: Float[Array, "batch length hidden"],
        mask: Bool[Array, "batch queries length"],
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch length hidden"]:
        """Apply attention, then the MLP."""
        attention_key, mlp_key = _split(dropout_key)
        return self.mlp(self.attention(hidden, mask, dtype, attention_key), dtype, mlp_key)

    def first(
        self,
        hidden: Float[Array, "rows length hidden"],
        tokens: Tokens | Packed | PackedRows,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "_ _ hidden"]:
        """Apply attention to the first token of each text; for `Packed`, return a row per text."""
        attention_key, mlp_key = _split(dropout_key)
        mixed = self.attention.first(hidden, tokens, dtype, attention_key)
        return self.mlp(mixed, dtype, mlp_key)


@partial(jax.jit, static_argnames=("graph", "dtype"))
def _apply(
    graph: nnx.GraphDef[Layer],
    state: nnx.State[Any, Any],
    hidden: Float[Array, "batch length hidden"],
    mask: Bool[Array, "batch queries length"],
    dtype: DTypeLike,
    dropout_key: Array | None,
) -> Float[Array, "batch length hidden"]:
    """Apply a layer. All layers share one JAX trace, because only their parameters differ."""
    layer: Layer = nnx.merge(graph, state)
    return layer(hidden, mask, dtype, dropout_key)


class Bert(nnx.Module):
    """The encoder: one hidden state for each token."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.embeddings = Embeddings(config, rngs=rngs)
        self.layers = nnx.List([Layer(config, rngs=rngs) for _ in range(config.num_layers)])

    def __call__(
        self,
        tokens: Tokens | Packed | PackedRows,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch length hidden"]:
        """Encode a batch.

        Args:
            tokens: The batch; each text has at most `config.max_positions` tokens.
            dtype: Input type of matrix products. Products accumulate in float32, and everything
                else is float32.
            dropout_key: Random key of dropout, for training; None turns dropout off.

        Returns:
            The last hidden states. The hidden states of padding are finite, but meaningless.
        """
        hidden, keys = self._embed(tokens, dropout_key)
        return self._through(list(self.layers), hidden, tokens, dtype, keys)

    def first(
        self,
        tokens: Tokens | Packed | PackedRows,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "*texts hidden"]:
        """Return the last hidden state of each text's first token, [CLS].

        For the other tokens, the last layer computes only keys and values. The arguments are those
        of `__call__`.

        Returns:
            [rows, texts, hidden] for `PackedRows`, [texts, hidden] for other batches.
        """
        *below, last = self.layers
        hidden, keys = self._embed(tokens, dropout_key)
        hidden = self._through(below, hidden, tokens, dtype, keys[:-1])
        first = last.first(hidden, tokens, dtype, keys[-1])
        return first if isinstance(tokens, PackedRows) else first[:, 0]

    def _embed(
        self, tokens: Tokens | Packed | PackedRows, dropout_key: Array | None
    ) -> tuple[Float[Array, "batch length hidden"], list[Array | None]]:
        """Compute the embeddings, and a dropout key for each layer."""
        first_key, *keys = _split(dropout_key, 1 + len(self.layers))
        return self.embeddings(tokens, first_key), keys

    def _through(
        self,
        layers: Sequence[Layer],
        hidden: Float[Array, "batch length hidden"],
        tokens: Tokens | Packed | PackedRows,
        dtype: DTypeLike,
        keys: Sequence[Array | None],
    ) -> Float[Array, "batch length hidden"]:
        mask = attention_mask(tokens)
        for layer, key in zip(layers, keys, strict=True):
            hidden = _apply(*nnx.split(layer), hidden, mask, dtype, key)
        return hidden


def first_layers(bert: Bert, count: int) -> Bert:
    """Return an encoder with the first `count` layers of `bert`; it shares their parameters.

    Raises:
        InputError: the encoder has fewer than `count` layers, or `count` is below 1.
    """
    if not 1 <= count <= len(bert.layers):
        raise InputError(f"{count} layers cannot be kept: the encoder has {len(bert.layers)}")
    config = replace(bert.config, num_layers=count)
    short: Bert = nnx.eval_shape(lambda: Bert(config, rngs=nnx.Rngs(0)))
    short.embeddings = bert.embeddings
    short.layers = nnx.List(list(bert.layers)[:count])
    return short


def _products(
    subscripts: str, a: Float[Array, "batch heads _ _"], b: Float[Array, "batch heads _ _"]
) -> Float[Array, "batch heads _ _"]:
    """Multiply the matrices of each head, and accumulate in float32."""
    return jnp.einsum(
        subscripts, a, b, preferred_element_type=jnp.float32, precision=precision(a.dtype)
    )


def _normal(rngs: nnx.Rngs, shape: tuple[int, ...]) -> Array:
    return INITIAL_STD * jax.random.normal(rngs.params(), shape)


def _along_last(vector: Float[Array, " size"], ndim: int) -> Float[Array, "*ones size"]:
    return vector.reshape((1,) * (ndim - 1) + vector.shape)


def _split(key: Array | None, parts: int = 2) -> list[Array | None]:
    return [None] * parts if key is None else list(jax.random.split(key, parts))
