"""The ranker of recommendations: a small network over the features of one candidate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32
from scipy.special import ndtr

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_object
from bert.matmul import gelu
from bert.model import Dense
from bert.saving import load_weights, save_model

CONFIG_FILE = "config.json"
_CLIP = 5.0  # standardised values are clipped to this many standard deviations
_BLOCK = 16_384  # candidates scored at a time


@dataclass(frozen=True)
class RankerConfig:
    """The inputs of a ranker, and its size.

    Attributes:
        features: Names of the features.
        mean: Mean of each feature's known values in the training data.
        scale: Standard deviation of each feature's known values.
        hidden: Width of the two hidden layers.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    hidden: int = 64

    @classmethod
    def of(
        cls, features: Sequence[str], matrix: Float32[np.ndarray, "rows features"], hidden: int
    ) -> "RankerConfig":
        """Compute the distribution of the training data's features; NaN is a missing value."""
        known = np.where(np.isnan(matrix).all(axis=0), 0, matrix).astype(np.float64)
        mean, scale = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
        scale = np.where(scale > 1e-6, scale, 1.0)
        return cls(tuple(features), tuple(mean.tolist()), tuple(scale.tolist()), hidden)

    def standardise(
        self, matrix: Float32[np.ndarray, "*rows features"]
    ) -> Float32[np.ndarray, "*rows features"]:
        """Return (x - mean) / scale, clipped; 0 for a missing value."""
        scaled = (matrix - np.array(self.mean, np.float32)) / np.array(self.scale, np.float32)
        return np.where(np.isnan(scaled), np.float32(0), np.clip(scaled, -_CLIP, _CLIP))


class Network(nnx.Module):
    """Two hidden layers beside a linear part; the output starts at 0 (wide & deep)."""

    def __init__(self, inputs: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.first = Dense(inputs, hidden, rngs=rngs)
        self.second = Dense(hidden, hidden, rngs=rngs)
        self.output = Dense(hidden, 1, rngs=rngs)
        self.linear = Dense(inputs, 1, rngs=rngs)
        for layer, size in ((self.first, inputs), (self.second, hidden)):
            values = jax.random.normal(rngs.params(), layer.kernel[...].shape)
            layer.kernel[...] = values / np.sqrt(size)
        for last in (self.output, self.linear):
            last.kernel[...] = jnp.zeros_like(last.kernel[...])

    def __call__(self, features: Float[Array, "*rows features"]) -> Float[Array, "*rows"]:
        """Score candidates by their standardised features."""
        hidden = gelu(self.second(gelu(self.first(features))))
        return (self.output(hidden) + self.linear(features))[..., 0]


@dataclass(frozen=True)
class Ranker:
    """A network, and how its inputs are standardised."""

    config: RankerConfig
    network: Network

    def scores(
        self, features: Float32[np.ndarray, "users candidates features"]
    ) -> Float32[np.ndarray, "users candidates"]:
        """Score the features of `candidate_features`.

        NumPy computes the network, because a request has few candidates and any thread may ask.
        """
        first, second, output, linear = self._layers
        flat = self.config.standardise(features.reshape(-1, features.shape[-1]))
        scores = np.empty(len(flat), np.float32)
        for start in range(0, len(flat), _BLOCK):
            inputs = flat[start : start + _BLOCK]
            hidden = _gelu(second(_gelu(first(inputs))))
            scores[start : start + _BLOCK] = (output(hidden) + linear(inputs))[:, 0]
        return scores.reshape(features.shape[:2])

    @cached_property
    def _layers(self) -> tuple["_Layer", ...]:
        network = self.network
        layers = (network.first, network.second, network.output, network.linear)
        return tuple(
            _Layer(np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in layers
        )


@dataclass(frozen=True)
class _Layer:
    kernel: Float32[np.ndarray, "inputs outputs"]
    bias: Float32[np.ndarray, " outputs"]

    def __call__(
        self, inputs: Float32[np.ndarray, "rows inputs"]
    ) -> Float32[np.ndarray, "rows outputs"]:
        return np.asarray(inputs @ self.kernel + self.bias, np.float32)


def _gelu(x: Float32[np.ndarray, "rows width"]) -> Float32[np.ndarray, "rows width"]:
    """Compute `bert.matmul.gelu` with NumPy."""
    return np.asarray(x * ndtr(x), np.float32)


def save_ranker(ranker: Ranker, directory: Path) -> None:
    """Write configuration and weights to an existing directory."""
    save_model(ranker.network, asdict(ranker.config), directory)


def load_ranker(directory: Path, features: Sequence[str]) -> Ranker:
    """Load a ranker that `save_ranker` wrote.

    Raises:
        InputError: files are missing or damaged, or the ranker reads other features.
    """
    path = directory / CONFIG_FILE
    try:
        values = read_object(path)
        lists = {name: tuple(values[name]) for name in ("features", "mean", "scale")}
        config = RankerConfig(**lists, hidden=int(values["hidden"]))
        if {len(values) for values in lists.values()} != {len(features)}:
            raise ValueError(f"it has not {len(features)} features, means and scales")
        if not 0 < config.hidden <= limits.FUSION:
            raise ValueError(f"hidden {config.hidden} is not between 1 and {limits.FUSION}")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; train again") from error
    if config.features != tuple(features):
        raise InputError(f"{path}: the ranker reads other features; train again")
    inputs, hidden = len(config.features), config.hidden
    network: Network = nnx.eval_shape(lambda: Network(inputs, hidden, rngs=nnx.Rngs(0)))
    load_weights(network, directory)
    return Ranker(config, network)
