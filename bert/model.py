"""BERT in Flax NNX: embeddings, self-attention layers, mean pooling.

The model is post-norm BERT (Devlin et al., 2019, arXiv 1810.04805) as Hugging Face's `BertModel`
computes it, without the pooler: erf GELU, learned positions, layer norm in float32. It holds no
random state, so `graphdef, state = nnx.split(bert)` once and `nnx.merge(graphdef, state)` inside
`jax.jit` is the way to use it. Every sub-module can be called on its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from bert.products import dense, gelu, precision
from catalog.errors import InputError

# Added to the attention scores of padding: its exp() is exactly zero in float32, and a row that is
# padding throughout still gives finite numbers.
MASKED_SCORE = -1e9
INITIAL_STD = 0.02


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT encoder."""

    vocab_size: int  # word pieces
    hidden_size: int  # width of every hidden state
    num_layers: int  # transformer layers
    num_heads: int  # attention heads; divides hidden_size
    intermediate_size: int  # width of the MLP's inner layer
    max_positions: int = 512  # longest input, in tokens
    type_vocab_size: int = 2  # segment types (first, second text of a pair)
    layer_norm_eps: float = 1e-12  # added to the variance in layer norm
    dropout: float = 0.1  # probability of dropping, for hidden states and attention alike

    def __post_init__(self) -> None:
        """Refuse sizes no BERT can have."""
        if self.hidden_size % self.num_heads:
            raise InputError(
                f"BERT config: hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_heads}"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"BERT config: dropout {self.dropout} is not in [0, 1)")

    @classmethod
    def minilm_l6(cls) -> "BertConfig":
        """all-MiniLM-L6-v2: 6 layers, 384 wide, 12 heads, 22.6 M parameters."""
        return cls(
            vocab_size=30522, hidden_size=384, num_layers=6, num_heads=12, intermediate_size=1536
        )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> "BertConfig":
        """Read Hugging Face's `config.json`.

        Raises:
            InputError: a size is missing, or the config asks for what this BERT does not compute
                (another architecture, activation or kind of position).
        """
        missing = [key for key in _HF_SIZES.values() if not isinstance(config.get(key), int)]
        if missing:
            raise InputError(f"BERT config: no whole number under {', '.join(missing)}")
        for key, wanted in _HF_FIXED.items():
            if config.get(key, wanted) != wanted:
                raise InputError(
                    f"BERT config: {key} is {config[key]!r}; only {wanted!r} is supported"
                )
        return cls(
            **{field: config[key] for field, key in _HF_SIZES.items()},
            layer_norm_eps=float(config.get("layer_norm_eps", 1e-12)),
            dropout=float(config.get("hidden_dropout_prob", 0.1)),
        )

    def to_hf(self) -> dict[str, Any]:
        """Hugging Face's `config.json` for this model; `from_hf` reads it back."""
        return {
            "architectures": ["BertModel"],
            **_HF_FIXED,
            **{key: getattr(self, field) for field, key in _HF_SIZES.items()},
            "layer_norm_eps": self.layer_norm_eps,
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
        }


_HF_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
}
_HF_FIXED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}


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


def dropout(x: Float[Array, "*shape"], rate: float, key: Array | None) -> Float[Array, "*shape"]:
    """Zero a share `rate` of `x` and scale the rest by 1 / (1 - rate); `x` itself without a key."""
    if key is None or rate == 0:
        return x
    # Sixteen random bits an element are plenty and cost half of what bernoulli's 32 do.
    words = jax.random.bits(key, (math.ceil(x.size / 2),), jnp.uint32)
    draws = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[: x.size].reshape(x.shape)
    kept = round((1 - rate) * 2**16)
    return jnp.where(draws < kept, x * (2**16 / kept), 0.0)


def mean_pool(
    hidden: Float[Array, "batch length hidden"],
    mask: Bool[Array, "batch length"] | Bool[np.ndarray, "batch length"],
) -> Float[Array, "batch hidden"]:
    """Mean of the hidden states of real tokens; zeros for a row without any."""
    weights = jnp.asarray(mask, hidden.dtype)
    total = jnp.einsum("blh,bl->bh", hidden, weights)
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


def first_tokens(
    hidden: Float[Array, "rows length hidden"], packed: Packed
) -> Float[Array, "texts hidden"]:
    """The hidden state of each text's [CLS]."""
    return hidden.reshape(-1, hidden.shape[-1])[jnp.asarray(packed.starts)]


class Dense(nnx.Module):
    """A dense layer: `kernel` [inputs, outputs] and `bias` [outputs]."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(_normal(rngs, (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(
        self, x: Float[Array, "*rows inputs"], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*rows outputs"]:
        """`x @ kernel + bias`."""
        return dense(x, self.kernel[...], self.bias[...], dtype)


class LayerNorm(nnx.Module):
    """Layer norm over the last axis, in float32."""

    def __init__(self, size: int, eps: float) -> None:
        self.scale = nnx.Param(jnp.ones(size))
        self.bias = nnx.Param(jnp.zeros(size))
        self.eps = eps

    def __call__(self, x: Float[Array, "*rows size"]) -> Float[Array, "*rows size"]:
        """`(x - mean) / sqrt(variance + eps) * scale + bias`."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = jnp.square(centred).mean(axis=-1, keepdims=True)
        normal = centred * jax.lax.rsqrt(variance + self.eps)
        return normal * _along_last(self.scale[...], x.ndim) + _along_last(self.bias[...], x.ndim)


class Embeddings(nnx.Module):
    """Word, position and type embeddings, summed and normalised."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.word = nnx.Param(_normal(rngs, (config.vocab_size, config.hidden_size)))
        self.position = nnx.Param(_normal(rngs, (config.max_positions, config.hidden_size)))
        self.type = nnx.Param(_normal(rngs, (config.type_vocab_size, config.hidden_size)))
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = config.dropout

    def __call__(
        self, tokens: Tokens | Packed, dropout_key: Array | None = None
    ) -> Float[Array, "batch length hidden"]:
        """Embed a batch of tokens; texts longer than the model's positions raise ValueError.

        (Rows of packed texts may be longer; that each text in them is not is for their maker.)
        """
        length = tokens.ids.shape[1]
        if length > self.position.shape[0] and not isinstance(tokens, Packed):
            raise ValueError(f"{length} tokens, but BERT has {self.position.shape[0]} positions")
        # A product with one-hot types: its gradient is a small product too, not a slow scatter.
        types = jax.nn.one_hot(tokens.types, self.type.shape[0], dtype=jnp.float32)
        hidden = self.word[...][jnp.asarray(tokens.ids)]
        if isinstance(tokens, Packed):
            hidden += self.position[...][jnp.asarray(tokens.positions)]
        else:
            hidden += self.position[...][None, :length]
        hidden += jnp.einsum("blt,th->blh", types, self.type[...])
        return dropout(self.norm(hidden), self.dropout, dropout_key)


class Attention(nnx.Module):
    """Self-attention with its residual and norm; query, key and value are one kernel."""

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
        """Mix the hidden states of each row's real tokens."""
        probability_key, output_key = _split(dropout_key)
        batch, length, width = hidden.shape
        head = width // self.num_heads
        query_key_value = self.qkv(hidden, dtype).astype(dtype)
        # Heads before tokens, once for all three: on CPUs the products below then run on what lies
        # together, a tenth to a fifth of the whole model's time.
        parts = query_key_value.reshape(batch, length, 3, self.num_heads, head)
        query, key, value = parts.transpose(2, 0, 3, 1, 4)  # [B, N, L, D]
        scores = jnp.einsum(
            "bnqd,bnkd->bnqk",
            query,
            key,
            preferred_element_type=jnp.float32,
            precision=precision(dtype),
        )  # [B, N, Lq, Lk]
        masked = jnp.where(mask, 0.0, MASKED_SCORE)[:, None]  # [B, 1, 1 or Lq, Lk]
        weights = jax.nn.softmax(scores * head**-0.5 + masked, axis=-1)
        weights = dropout(weights, self.dropout, probability_key).astype(dtype)
        context = jnp.einsum(
            "bnqk,bnkd->bnqd",
            weights,
            value,
            preferred_element_type=jnp.float32,
            precision=precision(dtype),
        ).transpose(0, 2, 1, 3)  # [B, L, N, D]
        mixed = self.output(context.reshape(batch, length, width), dtype)
        return self.norm(hidden + dropout(mixed, self.dropout, output_key))


class Mlp(nnx.Module):
    """The position-wise MLP with its residual and norm."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.up = Dense(config.hidden_size, config.intermediate_size, rngs=rngs)
        self.down = Dense(config.intermediate_size, config.hidden_size, rngs=rngs)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = config.dropout

    def intermediate(
        self, hidden: Float[Array, "*rows hidden"], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*rows intermediate"]:
        """The inner layer, after its erf GELU."""
        return gelu(self.up(hidden, dtype))

    def __call__(
        self,
        hidden: Float[Array, "*rows hidden"],
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "*rows hidden"]:
        """Transform each hidden state by itself."""
        outer = self.down(self.intermediate(hidden, dtype), dtype)
        return self.norm(hidden + dropout(outer, self.dropout, dropout_key))


def attention_mask(tokens: Tokens | Packed) -> Bool[Array, "batch queries length"]:
    """Which tokens (last axis) a token may attend to; one line for a whole row unless packed."""
    if isinstance(tokens, Packed):
        texts = jnp.asarray(tokens.texts)
        return (texts[:, :, None] == texts[:, None, :]) & (texts >= 0)[:, None, :]
    return jnp.asarray(tokens.mask)[:, None, :]


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
        """Apply both halves."""
        attention_key, mlp_key = _split(dropout_key)
        return self.mlp(self.attention(hidden, mask, dtype, attention_key), dtype, mlp_key)


@partial(jax.jit, static_argnames=("graph", "dtype"))
def _apply(
    graph: nnx.GraphDef[Layer],
    state: nnx.State[Any, Any],
    hidden: Float[Array, "batch length hidden"],
    mask: Bool[Array, "batch queries length"],
    dtype: DTypeLike,
    dropout_key: Array | None,
) -> Float[Array, "batch length hidden"]:
    """A layer, traced once for all layers of a model: they differ in their parameters alone."""
    layer: Layer = nnx.merge(graph, state)
    return layer(hidden, mask, dtype, dropout_key)


class Bert(nnx.Module):
    """The encoder: tokens to one hidden state a token."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.embeddings = Embeddings(config, rngs=rngs)
        self.layers = nnx.List([Layer(config, rngs=rngs) for _ in range(config.num_layers)])

    def __call__(
        self,
        tokens: Tokens | Packed,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, "batch length hidden"]:
        """Encode a batch.

        Args:
            tokens: the batch; at most `config.max_positions` long.
            dtype: type of the inputs of matrix products; they accumulate in float32, and
                everything else is float32.
            dropout_key: draws dropout as in training; None turns it off.

        Returns:
            The last hidden states. Those of padding are finite and mean nothing.
        """
        first_key, *keys = _split(dropout_key, 1 + len(self.layers))
        hidden = self.embeddings(tokens, first_key)
        mask = attention_mask(tokens)
        for layer, key in zip(self.layers, keys, strict=True):
            hidden = _apply(*nnx.split(layer), hidden, mask, dtype, key)
        return hidden


def first_layers(bert: Bert, count: int) -> Bert:
    """The same encoder without the layers behind the first `count`; it shares the parameters.

    Raises:
        InputError: the encoder has fewer layers.
    """
    if not 1 <= count <= len(bert.layers):
        raise InputError(f"{count} layers are not within the encoder's {len(bert.layers)}")
    config = replace(bert.config, num_layers=count)
    short: Bert = nnx.eval_shape(lambda: Bert(config, rngs=nnx.Rngs(0)))
    short.embeddings = bert.embeddings
    short.layers = nnx.List(list(bert.layers)[:count])
    return short


def _normal(rngs: nnx.Rngs, shape: tuple[int, ...]) -> Array:
    return INITIAL_STD * jax.random.normal(rngs.params(), shape)


def _along_last(vector: Float[Array, " size"], ndim: int) -> Float[Array, "*ones size"]:
    return vector.reshape((1,) * (ndim - 1) + vector.shape)


def _split(key: Array | None, parts: int = 2) -> list[Array | None]:
    return [None] * parts if key is None else list(jax.random.split(key, parts))
