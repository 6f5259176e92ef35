"""The two towers, which encode queries and items as unit vectors in one space.

Each tower is a BERT encoder, a pooling of its hidden states, and a projection to the dimension of
the index. The towers share one encoder by default; each has its own projection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from base.errors import InputError
from base.untrusted import limits
from bert.batch import Packed, Tokens, mean_pool, mean_pool_packed
from bert.config import BertConfig
from bert.matmul import dense
from bert.model import Bert

MIN_NORM = 1e-6

# How the hidden states of a text become one vector: their mean, or the hidden state of [CLS].
Pooling: TypeAlias = Literal["mean", "cls"]
# Unit vectors of a batch, and diagnostic scalars by name.
Encoded: TypeAlias = tuple[Float[Array, "batch dim"], dict[str, Float[Array, ""]]]


@dataclass(frozen=True)
class TowersConfig:
    """Size of the towers' vectors, token budgets, pooling, prefixes, and start temperature."""

    dim: int = 384  # width of the vectors in the index; at most the encoder's hidden size
    shared: bool = True  # use one encoder for both queries and items
    max_query_tokens: int = 24  # maximum tokens of a query, [CLS] and [SEP] included
    max_item_tokens: int = 64  # maximum tokens of an item's text, [CLS] and [SEP] included
    temperature: float = 0.05  # start value of the loss's temperature, which training learns
    # vector of a text: mean of all hidden states, or the hidden state of [CLS]; None: as the
    # pretrained model's own files say, or else mean
    pooling: Pooling | None = None
    # texts that the encoder reads before each query and before each item text; None: as the
    # pretrained model's own files say, or else no text
    query_prefix: str | None = None
    item_prefix: str | None = None

    def __post_init__(self) -> None:
        """Check the pooling and the prefixes.

        Raises:
            InputError: a value is of no known kind; the message names the option.
        """
        if self.pooling not in (None, *get_args(Pooling)):
            raise InputError(f"towers: pooling {self.pooling!r} is neither mean nor cls")
        for name in ("query_prefix", "item_prefix"):
            if not isinstance(getattr(self, name), str | None):
                raise InputError(f"towers: {name} {getattr(self, name)!r} is not a text")

    def prefix(self, tower: Literal["query", "item"]) -> str:
        """Return the text before each text of a tower."""
        return (self.query_prefix if tower == "query" else self.item_prefix) or ""

    def check(self, bert: BertConfig) -> None:
        """Check that the values are in range and fit an encoder.

        Raises:
            InputError: a value is out of range; the message names the option and its limits.
        """
        if not 0 < self.dim <= bert.hidden_size:
            raise InputError(
                f"towers: dim {self.dim} is not between 1 and the encoder's hidden size "
                f"{bert.hidden_size}"
            )
        most = min(bert.max_positions, limits.TOKENS)
        for name in ("max_query_tokens", "max_item_tokens"):
            if not 3 <= getattr(self, name) <= most:
                raise InputError(
                    f"towers: {name} {getattr(self, name)} is not between 3 and {most} (the "
                    f"encoder has {bert.max_positions} positions)"
                )
        if not self.temperature > 0:
            raise InputError(f"towers: temperature {self.temperature} is not above 0")
        for name in ("query_prefix", "item_prefix"):
            if len(getattr(self, name) or "") > most:
                raise InputError(f"towers: {name} has more than {most} characters")


class Towers(nnx.Module):
    """The query tower and the item tower.

    Each projection initially keeps the first `dim` dimensions of the encoder's output. Towers with
    pretrained sentence-embedding weights are therefore useful before any training.
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
        """Encode queries to unit vectors, and return diagnostics with them."""
        projections = [self.query_projection]
        return encode(self.bert, projections, tokens, dtype, dropout_key, self.config.pooling)[0]

    def encode_item(
        self,
        tokens: Tokens | Packed,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Encoded:
        """Encode items to unit vectors, and return diagnostics with them."""
        bert = self.bert if self.item_bert is None else self.item_bert
        projections = [self.item_projection]
        return encode(bert, projections, tokens, dtype, dropout_key, self.config.pooling)[0]

    def encode_pairs(
        self,
        packed: Sequence[Packed],
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> tuple[Encoded, Encoded]:
        """Encode the queries and the items of a training batch.

        Args:
            packed: For a shared encoder, one batch with all queries first, then all items, so that
                the encoder runs only once. For separate encoders, two batches: one of queries, and
                one of items.
            dtype: Input type of matrix products.
            dropout_key: Random key of dropout; None turns dropout off.
        """
        if self.item_bert is None:
            projections = [self.query_projection, self.item_projection]
            query, item = encode(
                self.bert, projections, packed[0], dtype, dropout_key, self.config.pooling
            )
            return query, item
        keys = [None, None] if dropout_key is None else jax.random.split(dropout_key)
        return (
            self.encode_query(packed[0], dtype=dtype, dropout_key=keys[0]),
            self.encode_item(packed[1], dtype=dtype, dropout_key=keys[1]),
        )

    def encode_item_pairs(
        self,
        packed: Packed,
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> tuple[Encoded, Encoded]:
        """Encode the first items and the next items of a training batch by the item tower.

        Args:
            packed: All first items, then all next items.
            dtype: Input type of matrix products.
            dropout_key: Random key of dropout; None turns dropout off.
        """
        bert = self.bert if self.item_bert is None else self.item_bert
        both = [self.item_projection] * 2
        first, following = encode(bert, both, packed, dtype, dropout_key, self.config.pooling)
        return first, following


def encode(
    bert: Bert,
    projections: Sequence[nnx.Param[Array]],
    tokens: Tokens | Packed,
    dtype: DTypeLike = jnp.float32,
    dropout_key: Array | None = None,
    pooling: Pooling | None = None,
) -> list[Encoded]:
    """Encode texts to unit vectors: the forward pass of a tower, in training and in serving.

    Args:
        bert: The tower's encoder.
        projections: The tower's projection. For two towers that share an encoder, both projections:
            the first projects the first half of the texts, the second the other half.
        tokens: Tokens of the texts.
        dtype: Input type of matrix products.
        dropout_key: Random key of dropout; None turns dropout off.
        pooling: How hidden states become one vector; None is the mean.

    Returns:
        For each projection, the vectors of the projected texts, and diagnostics.
    """
    if pooling == "cls":
        pooled = bert.first(tokens, dtype=dtype, dropout_key=dropout_key)
    else:
        hidden = bert(tokens, dtype=dtype, dropout_key=dropout_key)
        pooled = (
            mean_pool_packed(hidden, tokens)
            if isinstance(tokens, Packed)
            else mean_pool(hidden, tokens.mask)
        )
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
    """Project pooled hidden states to unit vectors.

    The diagnostics have one entry, `norm`: the mean norm of the vectors before normalising.
    """
    vectors = dense(pooled, projection, jnp.zeros(projection.shape[1]), dtype)
    norms = jnp.sqrt(jnp.square(vectors).sum(axis=-1, keepdims=True) + MIN_NORM**2)
    return vectors / norms, {"norm": norms.mean()}
