"""The reranker: a BERT cross-encoder whose [CLS] vector is fused with numeric features.

The score is the sum of a linear part over the features and a small network over [CLS] and features
(wide & deep, Cheng et al., 2016, arXiv 1606.07792). Before training, the network's output is zero
and the linear part is the standardised cosine of the towers. Training therefore starts from
the ranking by the towers' cosines.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from base.errors import InputError
from base.untrusted import limits
from bert.batch import Packed, PackedRows, Tokens
from bert.config import BertConfig
from bert.matmul import gelu
from bert.model import Bert, Dense
from bert.saving import load_model, save_model
from rerank.features import FEATURE_NAMES, FeatureStatistics

Activation: TypeAlias = Literal["gelu", "tanh"]
_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {"gelu": gelu, "tanh": jnp.tanh}


@dataclass(frozen=True)
class RerankerConfig:
    """Token budgets of the reranker's input, and the size of its fusion network."""

    max_query_tokens: int = 24  # maximum word pieces of the query
    max_tokens: int = 96  # maximum tokens of a pair, [CLS] and all [SEP] included
    fusion: int = 128  # width of the fusion network
    activation: Activation = "gelu"  # activation of the fusion network

    def check(self, bert: BertConfig) -> None:
        """Check that the values are in range, and that the token budgets fit an encoder.

        Raises:
            InputError: a value is out of range.
        """
        most = min(bert.max_positions, limits.TOKENS)
        if not 0 < self.max_query_tokens < self.max_tokens - 3 <= most - 3:
            raise InputError(
                f"reranker: max_tokens {self.max_tokens} must exceed max_query_tokens "
                f"{self.max_query_tokens} + 3, and be at most {most}; the encoder has "
                f"{bert.max_positions} positions"
            )
        if not 0 < self.fusion <= limits.FUSION:
            raise InputError(f"reranker: fusion {self.fusion} is not between 1 and {limits.FUSION}")
        if self.activation not in _ACTIVATIONS:
            raise InputError(
                f"reranker: activation {self.activation!r} is not one of {', '.join(_ACTIVATIONS)}"
            )


class Reranker(nnx.Module):
    """The reranker, which scores query-item pairs; only scores of one query are comparable."""

    def __init__(
        self,
        config: RerankerConfig,
        bert: BertConfig,
        *,
        features: tuple[str, ...] = FEATURE_NAMES,
        rngs: nnx.Rngs,
    ) -> None:
        """Initialise the weights so that the scores rank candidates like the towers' cosines.

        Args:
            config: Token budgets, and width of the fusion network.
            bert: Sizes of the encoder.
            features: Names of the features that the reranker reads.
            rngs: Random keys for the initial weights.
        """
        config.check(bert)
        self.config = config
        self.feature_names = features
        inputs = 2 * len(features)  # values, then missing indicators
        self.bert = Bert(bert, rngs=rngs)
        self.text = Dense(bert.hidden_size, config.fusion, rngs=rngs)
        self.features = Dense(inputs, config.fusion, rngs=rngs)
        self.output = Dense(config.fusion, 1, rngs=rngs)
        self.linear = Dense(inputs, 1, rngs=rngs)
        self.output.kernel[...] = jnp.zeros_like(self.output.kernel[...])
        # The weights of missing indicators start at 0. If a feature is never missing in training,
        # the weights of its indicator stay 0, so the indicator has no effect in serving.
        kernel = self.features.kernel[...]
        self.features.kernel[...] = kernel.at[len(features) :].set(0.0)
        is_cosine = [name == "cosine" for name in features]
        self.linear.kernel[...] = jnp.zeros((inputs, 1)).at[: len(features), 0].set(is_cosine)

    def __call__(
        self,
        tokens: Tokens,
        features: Float[Array, "batch inputs"],
        *,
        dtype: DTypeLike = jnp.float32,
    ) -> Float[Array, " batch"]:
        """Compute the logits of a batch of pairs, for serving.

        Args:
            tokens: `[CLS] query [SEP] item [SEP]`.
            features: Inputs from `FeatureStatistics.standardise`.
            dtype: Input type of matrix products.
        """
        return self.fuse(self.read(tokens, dtype=dtype), features)

    def read(
        self, tokens: Tokens | PackedRows, *, dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "*pairs fusion"]:
        """Encode the text of each pair, without its features."""
        return self.text(self.bert.first(tokens, dtype=dtype))

    def score_packed(
        self,
        packed: Packed,
        features: Float[Array, "pairs inputs"],
        *,
        dtype: DTypeLike = jnp.float32,
        dropout_key: Array | None = None,
    ) -> Float[Array, " pairs"]:
        """Compute the logits of packed pairs, for training."""
        first = self.bert.first(packed, dtype=dtype, dropout_key=dropout_key)
        return self.fuse(self.text(first), features)

    def fuse(
        self, text: Float[Array, "pairs fusion"], features: Float[Array, "pairs inputs"]
    ) -> Float[Array, " pairs"]:
        """Compute logits, in float32, from vectors of `read` and from features."""
        layers = (self.features, self.output, self.linear)
        return fuse(*layers, text, features, activation=self.config.activation)


def fuse(
    features: Dense,
    output: Dense,
    linear: Dense,
    text: Float[Array, "pairs fusion"],
    values: Float[Array, "pairs inputs"],
    *,
    activation: Activation,
) -> Float[Array, " pairs"]:
    """Compute `Reranker.fuse` from the fusion layers, for programs without the encoder."""
    hidden = _ACTIVATIONS[activation](text + features(values))
    return (output(hidden) + linear(values))[:, 0]


def pretrained_reranker(bert: Bert, config: RerankerConfig, *, seed: int) -> Reranker:
    """Make an untrained reranker with a pretrained encoder."""
    reranker = Reranker(config, bert.config, rngs=nnx.Rngs(seed))
    reranker.bert = bert
    return reranker


def with_features(reranker: Reranker, features: tuple[str, ...]) -> Reranker:
    """Return a reranker with these features; shared features keep their weights, others get 0."""
    if features == reranker.feature_names:
        return reranker
    shape = reranker.bert.config
    widened = Reranker(reranker.config, shape, features=features, rngs=nnx.Rngs(0))
    widened.bert, widened.text, widened.output = reranker.bert, reranker.text, reranker.output
    shared = [name for name in reranker.feature_names if name in features]
    old_rows = np.array([reranker.feature_names.index(name) for name in shared], np.int32)
    new_rows = np.array([features.index(name) for name in shared], np.int32)
    for old, new in ((reranker.features, widened.features), (reranker.linear, widened.linear)):
        # The first half of the rows belongs to values, the second half to missing indicators.
        weights = old.kernel[...].reshape(2, len(reranker.feature_names), -1)
        kernel = jnp.zeros((2, len(features), weights.shape[-1]))
        kernel = kernel.at[:, new_rows].set(weights[:, old_rows])
        new.kernel[...] = kernel.reshape(new.kernel.shape)
        new.bias[...] = old.bias[...]
    return widened


def save_reranker(reranker: Reranker, directory: Path) -> None:
    """Write configuration and weights to an existing directory.

    `FeatureStatistics.write` writes the names of the features to the same directory.
    """
    values = {**asdict(reranker.config), "bert": reranker.bert.config.to_hf()}
    save_model(reranker, values, directory)


def load_reranker(directory: Path) -> Reranker:
    """Load a reranker that `save_reranker` wrote, with the features that `features.json` names.

    Raises:
        InputError: files are missing or damaged, the tensors do not fit the configuration, or a
            feature is not in the table of `rerank/features.py`.
    """
    features = FeatureStatistics.read(directory).names
    return load_model(directory, RerankerConfig, partial(Reranker, features=features), "reranker")
