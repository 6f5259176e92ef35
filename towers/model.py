"""The two towers: queries and items as unit vectors of one space.

Both towers are a BERT encoder, a mean over its tokens and a projection to the index dimension.
They share one encoder unless told otherwise; the projections are always their own.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from base.errors import InputError
from bert.batch import Tokens, mean_pool
from bert.config import BertConfig
from bert.matmul import dense
from bert.model import Bert

MIN_NORM = 1e-6


@dataclass(frozen=True)
class TowersConfig:
    """What the towers add to their encoder, and the token budgets of their inputs."""

    dim: int = 384  # width of the vectors in the index; at most the encoder's hidden size
    shared: bool = True  # one encoder for queries and items
    max_query_tokens: int = 24  # tokens of a query, [CLS] and [SEP] included
    max_item_tokens: int = 64  # tokens of an item's text, [CLS] and [SEP] included
    temperature: float = 0.05  # divides cosines in the loss; where its learned value starts

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

    The projections start as the first `dim` axes of the encoder, so towers over pretrained
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
        self, tokens: Tokens, *, dtype: DTypeLike = jnp.float32, dropout_key: Array | None = None
    ) -> tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]:
        """Unit vectors of queries, and diagnostics: the mean norm before normalising."""
        return encode(self.bert, self.query_projection, tokens, dtype, dropout_key)

    def encode_item(
        self, tokens: Tokens, *, dtype: DTypeLike = jnp.float32, dropout_key: Array | None = None
    ) -> tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]:
        """Unit vectors of items, and diagnostics: the mean norm before normalising."""
        bert = self.bert if self.item_bert is None else self.item_bert
        return encode(bert, self.item_projection, tokens, dtype, dropout_key)

    def project_query(
        self, pooled: Float[Array, "batch hidden"], dtype: DTypeLike = jnp.float32
    ) -> tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]:
        """Unit vectors of pooled queries, and diagnostics."""
        return _unit(pooled, self.query_projection[...], dtype)

    def project_item(
        self, pooled: Float[Array, "batch hidden"], dtype: DTypeLike = jnp.float32
    ) -> tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]:
        """Unit vectors of pooled items, and diagnostics."""
        return _unit(pooled, self.item_projection[...], dtype)


def encode(
    bert: Bert,
    projection: nnx.Param[Array],
    tokens: Tokens,
    dtype: DTypeLike = jnp.float32,
    dropout_key: Array | None = None,
) -> tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]:
    """Unit vectors of one tower's texts, and diagnostics: both towers are this."""
    hidden = bert(tokens, dtype=dtype, dropout_key=dropout_key)
    return _unit(mean_pool(hidden, tokens.mask), projection[...], dtype)


def _unit(
    pooled: Float[Array, "batch hidden"], projection: Float[Array, "hidden dim"], dtype: DTypeLike
) -> tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]:
    vectors = dense(pooled, projection, jnp.zeros(projection.shape[1]), dtype)
    norms = jnp.sqrt(jnp.square(vectors).sum(axis=-1, keepdims=True) + MIN_NORM**2)
    return vectors / norms, {"norm": norms.mean()}
