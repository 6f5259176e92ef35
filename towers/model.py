"""The two towers: queries and items as unit vectors of one space.

Each tower is a BERT encoder, a mean over its tokens and a projection to the index dimension. The
towers share one encoder by default; each has its own projection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from base.errors import InputError
from bert.batch import Packed, Tokens, mean_pool, mean_pool_packed
from bert.config import BertConfig
from bert.matmul import dense
from bert.model import Bert

MIN_NORM = 1e-6

# Unit vectors of a batch, and scalars worth watching.
Encoded: TypeAlias = tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]


@dataclass(frozen=True)
class TowersConfig:
    """What the towers add to their encoder, and the token budgets of their inputs."""

    dim: int = 384  # width of the vectors in the index; at most the encoder's hidden size
    shared: bool = True  # one encoder for queries and items
    max_query_tokens: int = 24  # tokens of a query, [CLS] and [SEP] included
    max_item_tokens: int = 64  # tokens of an item's text, [CLS] and [SEP] included
    temperature: float = 0.05  # start value of the learned divisor of cosines in the loss

    def check(self, bert: BertConfig) -> None:
        """Refuse sizes that cannot work with an encoder.

        Raises:
            InputError: names the option and its limits.
        """
        if not 0 < self.dim <= bert.hidden_size:
            raise InputError(
                f"towers: dim {self.dim} is not between 1 and the encoder's hidden size "
                f"{bert.hidden_size}"
            )
        for name in ("max_query_tokens", "max_item_tokens"):
            if not 3 <= getattr(self, name) <= bert.max_positions:
                raise InputError(
                    f"towers: {name} {getattr(self, name)} is not between 3 and the encoder's "
                    f"{bert.max_positions} positions"
                )
        if not self.temperature > 0:
            raise InputError(f"towers: temperature {self.temperature} is not above 0")


class Towers(nnx.Module):
    """Query and item tower.

    Each projection starts as the first `dim` axes of the encoder, so towers over pretrained
    sentence-embedding weights are useful before any training.
    """

    def __init__(self, config: TowersConfig, bert: BertConfig, *, rngs: nnx.Rngs) -> None:
        config.check(bert)
        self.config = config
        self.bert = Bert(bert, rngs=rngs)
        self.item_bert = None if config.shared else Bert(bert, rngs=rngs)
        self.query_projection = nnx.Param(jnp.eye(bert.hidden_size, config.dim))
        self.item_projection = nnx.Param(jnp.eye(bert.hidden_size, config.dim))
        self.log_temperature = nnx.Param(jnp.log(jnp.float32(config.temperature)))

    def encode_query(
        self,
        tokens: Tokens | Packed,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Encoded:
        """Unit vectors of queries, and diagnostics."""
        return encode(self.bert, [self.query_projection], tokens, dtype, dropout_key)[0]

    def encode_item(
        self,
        tokens: Tokens | Packed,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Encoded:
        """Unit vectors of items, and diagnostics."""
        bert = self.bert if self.item_bert is None else self.item_bert
        return encode(bert, [self.item_projection], tokens, dtype, dropout_key)[0]

    def encode_pairs(
        self,
        packed: Sequence[Packed],
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> tuple[Encoded, Encoded]:
        """Unit vectors and diagnostics of a training batch's queries, and those of its items.

        Args:
            packed: One batch of the queries followed by as many items if the towers share an
                encoder, which then runs once; else a batch of queries and a batch of items.
            dtype: Input type of matrix products.
            dropout_key: Draws dropout; None for none.
        """
        if self.item_bert is None:
            projections = [self.query_projection, self.item_projection]
            query, item = encode(self.bert, projections, packed[0], dtype, dropout_key)
            return query, item
        keys = [None, None] if dropout_key is None else jax.random.split(dropout_key)
        return (
            self.encode_query(packed[0], dtype=dtype, dropout_key=keys[0]),
            self.encode_item(packed[1], dtype=dtype, dropout_key=keys[1]),
        )


def encode(
    bert: Bert,
    projections: Sequence[nnx.Param[Array]],
    tokens: Tokens | Packed,
    dtype: DTypeLike = jnp.float32,
    dropout_key: Array | None = None,
) -> list[Encoded]:
    """Compute unit vectors of texts: the forward pass of a tower, in training and in serving.

    Args:
        bert: The tower's encoder.
        projections: The tower's projection. Towers that share an encoder give theirs together:
            each projects an equal part of the texts, in order.
        tokens: Tokens of the texts.
        dtype: Input type of matrix products.
        dropout_key: Draws dropout; None for none.

    Returns:
        For each projection, the vectors of its texts and diagnostics.
    """
    hidden = bert(tokens, dtype=dtype, dropout_key=dropout_key)
    if isinstance(tokens, Packed):
        pooled = mean_pool_packed(hidden, tokens)
    else:
        pooled = mean_pool(hidden, tokens.mask)
    parts = jnp.split(pooled, len(projections))
    return [
        project(part, projection[...], dtype)
        for part, projection in zip(parts, projections, strict=True)
    ]


def project(
    pooled: Float[Array, "batch hidden"],
    projection: Float[Array, "hidden dim"],
    dtype: DTypeLike = jnp.float32,
) -> Encoded:
    """Project pooled texts to unit vectors; diagnostics: the mean norm before normalising."""
    vectors = dense(pooled, projection, jnp.zeros(projection.shape[1]), dtype)
    norms = jnp.sqrt(jnp.square(vectors).sum(axis=-1, keepdims=True) + MIN_NORM**2)
    return vectors / norms, {"norm": norms.mean()}
