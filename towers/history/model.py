"""The user tower: a history, a query and a context, any of them absent, as one vector.

User vectors and item vectors have the same three blocks, and their inner product is the score:

| block | item | user |
| --- | --- | --- |
| text | the unit vector of the item tower | gated sum of the query and of the history |
| residual | a learned vector beside the text vector; 0 for new items | gated sum of the history |
| moment | a function of the item's features at a time | how much each such coordinate counts |

A search query is a vector of the same space whose last two blocks are 0. The first two blocks of an
item do not change with time, so they are indexed once. The moment block is small. It is recomputed
for all items at intervals, and appended to the vectors.

The history is pooled by means with several half-lives. Gates, which depend on the length and age of
the history and on the context, weigh these means.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from base.errors import InputError
from bert.matmul import precision
from catalog.events import EVENT_TYPES
from towers.history.moment import FEATURES, WINDOW_DAYS

_PRIOR_WEIGHT = 0.05  # weight of an empty history in means, so that old events fade to 0
_UNSEEN_DAYS = 400.0  # days since the newest event of an empty history
# The weights of an untrained tower: of the text and the residual of a history, of a query, and of
# the sales of the last seven days.
_TEXT_WEIGHT = 2.8
_RESIDUAL_WEIGHT = 1.4
_QUERY_WEIGHT = 20.0
_WEEK_WEIGHT = 0.6
_WEEK = WINDOW_DAYS.index(7)
_SCALE = 3.0  # divides logarithms of counts and days, so that the gates' inputs are about 1


# The least and the largest number of each size. The largest ones keep a damaged file from taking
# all memory.
_LIMITS = (
    ("items", 0, 2**24),
    ("text_dim", 1, 8_192),
    ("residual_dim", 1, 8_192),
    ("moment_dim", 1, 1_024),
    ("hidden", 1, 8_192),
    ("context_buckets", 2, 2**20),
)


@dataclass(frozen=True)
class HistoryConfig:
    """Sizes of the user tower."""

    items: (
        int  # number of items with a residual; 0 in a bundle, whose residuals are in `ItemBlocks`
    )
    text_dim: int = 384  # width of the item tower's vectors
    residual_dim: int = 128  # width of the learned residual beside the text vector
    moment_dim: int = 16  # width of the block that changes with time, without its last column
    half_lives_days: tuple[float, ...] = (3.0, 14.0, 45.0, 150.0)  # start values of the half-lives
    hidden: int = 32  # width of the hidden layers of gates and moments
    context_buckets: int = 256  # rows of the table of context values, which are hashed
    event_types: tuple[str, ...] = EVENT_TYPES  # types of events, in the order of their codes
    read_types: tuple[str, ...] = EVENT_TYPES  # types of the events that the tower was trained with

    def __post_init__(self) -> None:
        """Check that the sizes are possible."""
        for name, least, most in _LIMITS:
            if not least <= getattr(self, name) <= most:
                raise InputError(
                    f"history: {name} {getattr(self, name)} is not from {least} to {most:,}"
                )
        if not self.half_lives_days or min(self.half_lives_days) <= 0:
            raise InputError("history: half_lives_days has no number above 0")

    @property
    def dim(self) -> int:
        """Width of user vectors and of item vectors: text, residual, moment and its bias."""
        return self.text_dim + self.residual_dim + self.moment_dim + 1


class Histories(NamedTuple):
    """A batch of histories and queries. Padding events have the gap -1.

    Attributes:
        text: Text vector of each event's item.
        residual: History residual of each event's item; 0 for an item without one.
        moment: Moment block of each event's item.
        types: Code of each event's type.
        gap_days: Days from each event to the moment.
        query: Unit vector of each query; 0 without a query.
        context: Rows of the context table; row 0 is no value.
    """

    text: Float[Array | np.ndarray, "batch events text"]
    residual: Float[Array | np.ndarray, "batch events residual"]
    moment: Float[Array | np.ndarray, "batch events moment"]
    types: Int[Array | np.ndarray, "batch events"]
    gap_days: Float[Array | np.ndarray, "batch events"]
    query: Float[Array | np.ndarray, "batch text"]
    context: Int[Array | np.ndarray, "batch values"]


class HistoryTower(nnx.Module):
    """The user tower, and the residuals and moment network of the items."""

    def __init__(self, config: HistoryConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        means = len(config.half_lives_days)
        # The residual of an item that is scored, and the residual of an item in a history.
        self.item_residual = nnx.Param(jnp.zeros((config.items, config.residual_dim)))
        self.event_residual = nnx.Param(jnp.zeros((config.items, config.residual_dim)))
        self.log_half_lives = nnx.Param(jnp.log(jnp.array(config.half_lives_days)))
        self.type_weights = nnx.Param(jnp.ones(len(config.event_types)))
        self.context = nnx.Param(jnp.zeros((config.context_buckets, config.hidden)))
        inputs = 2 * (means + 2) + config.moment_dim + 2
        self.gates_in = _linear(inputs, config.hidden, rngs)
        self.gates_out = _linear(config.hidden, 2 * means + 2 + config.moment_dim, rngs)
        self.gates_out.kernel = nnx.Param(jnp.zeros_like(self.gates_out.kernel[...]))
        self.gates_out.bias = nnx.Param(_first_gates(config))
        self.moment_in = _linear(FEATURES, config.hidden, rngs)
        self.moment_out = _linear(config.hidden, config.moment_dim, rngs)
        self.moment_bias = _linear(FEATURES, 1, rngs)
        self.moment_bias.kernel = nnx.Param(jnp.zeros((FEATURES, 1)).at[_WEEK].set(_WEEK_WEIGHT))

    def moment_block(
        self, features: Float[Array, "*items features"]
    ) -> Float[Array, "*items moment"]:
        """Compute the moment block of items from `MomentFeatures.features`; the last is a bias."""
        hidden = jax.nn.gelu(self.moment_in(features))
        return jnp.concatenate([self.moment_out(hidden), self.moment_bias(features)], axis=-1)

    def __call__(self, histories: Histories) -> Float[Array, "batch dim"]:
        """Compute user vectors; see the module's table of blocks."""
        means = len(self.config.half_lives_days)
        weights = self._event_weights(histories)
        total = jnp.abs(weights).sum(axis=-1)  # batch × means
        shares = weights / (total[..., None] + _PRIOR_WEIGHT)

        def pooled(vectors: Array | np.ndarray) -> Array:
            exact = precision(jnp.dtype(jnp.float32))
            return jnp.einsum("bhl,bld->bhd", shares, vectors, precision=exact)

        moment = pooled(histories.moment).mean(axis=1)[:, :-1]
        gates = self.gates_out(jax.nn.gelu(self._gate_inputs(histories, total, moment)))
        of_text, of_residual, of_query, bias, of_moment = jnp.split(
            gates, [means, 2 * means, 2 * means + 1, 2 * means + 2], axis=-1
        )
        text = (jnp.exp(of_text)[..., None] * pooled(histories.text)).sum(axis=1)
        residual = (jnp.exp(of_residual)[..., None] * pooled(histories.residual)).sum(axis=1)
        text += jnp.exp(of_query) * histories.query
        return jnp.concatenate([text, residual, of_moment, jnp.exp(bias)], axis=-1)

    def _event_weights(self, histories: Histories) -> Float[Array, "batch means events"]:
        """Return the decayed weight of each event for each half-life; 0 for padding."""
        gaps = jnp.asarray(histories.gap_days)[:, None, :]
        decay = jnp.exp2(-jnp.maximum(gaps, 0) / jnp.exp(self.log_half_lives[...])[None, :, None])
        types = self.type_weights[...][histories.types]
        return jnp.where(gaps >= 0, decay * types[:, None, :], 0.0)

    def _gate_inputs(
        self, histories: Histories, total: Float[Array, "batch means"], moment: Array
    ) -> Float[Array, "batch hidden"]:
        present = jnp.asarray(histories.gap_days) >= 0
        count = present.sum(axis=-1).astype(jnp.float32)
        newest = jnp.where(present, histories.gap_days, _UNSEEN_DAYS).min(axis=-1)
        sizes = jnp.concatenate([total, count[:, None], newest[:, None]], axis=-1)
        sizes = jnp.log1p(sizes) / _SCALE
        has_query = (jnp.abs(jnp.asarray(histories.query)).sum(axis=-1) > 0).astype(jnp.float32)
        has_both = has_query * (count > 0)
        inputs = [sizes, jnp.square(sizes), moment, has_query[:, None], has_both[:, None]]
        known = (jnp.asarray(histories.context) > 0).astype(jnp.float32)[..., None]
        context = (self.context[...][histories.context] * known).sum(axis=1)
        return self.gates_in(jnp.concatenate(inputs, axis=-1)) + context


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, precision=jax.lax.Precision.HIGHEST, rngs=rngs)


def _first_gates(config: HistoryConfig) -> Float[Array, " gates"]:
    """Return the gates of an untrained tower, which weigh old events of residuals, too."""
    means = len(config.half_lives_days)
    shares = jnp.array(config.half_lives_days) / sum(config.half_lives_days)
    return jnp.concatenate(
        [
            jnp.full(means, jnp.log(_TEXT_WEIGHT / means)),
            jnp.log(shares * _RESIDUAL_WEIGHT),
            jnp.array([jnp.log(_QUERY_WEIGHT), 0.0]),
            jnp.zeros(config.moment_dim),
        ]
    )
