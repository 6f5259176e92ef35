"""Train the ranker of recommendations with a listwise loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float32

from rerank.losses import weighted_listwise_softmax
from rerank.recommend.ranker import Network, Ranker, RankerConfig


@dataclass(frozen=True)
class RankerFitConfig:
    """How the ranker is trained."""

    hidden: int = 64  # width of the two hidden layers
    learning_rate: float = 1e-3  # at the start; falls to 0 by a cosine
    weight_decay: float = 1e-2  # of AdamW
    feature_dropout: float = 0.2  # probability that a feature of a list is missing in a step
    epochs: int = 10  # passes over the lists
    lists_per_step: int = 32


def fit_ranker(
    features: Sequence[str],
    matrix: Float32[np.ndarray, "lists candidates features"],
    targets: Bool[np.ndarray, "lists candidates"],
    where: Bool[np.ndarray, "lists candidates"],
    config: RankerFitConfig,
    seed: int,
) -> Ranker:
    """Train a ranker on lists of candidates with the listwise softmax of the right candidates.

    Args:
        features: Names of the features.
        matrix: The features of `candidate_features`, NaN if missing.
        targets: Whether each candidate is right; lists without a right candidate are left out.
        where: False for padding.
        config: How to train.
        seed: Seed of the weights, of the order of lists and of dropout.
    """
    used = (targets & where).any(axis=1)
    matrix, gains, where = matrix[used], targets[used].astype(np.float32), where[used]
    ranker_config = RankerConfig.of(features, matrix[where], config.hidden)
    inputs = ranker_config.standardise(matrix)
    network = Network(len(features), config.hidden, rngs=nnx.Rngs(seed))
    graph, params = nnx.split(network)
    per_step = min(config.lists_per_step, len(inputs))
    steps = config.epochs * (len(inputs) // max(per_step, 1))
    if not steps:
        return Ranker(ranker_config, network)
    schedule = optax.cosine_decay_schedule(config.learning_rate, steps)
    moments, key = _optimizer(config).init(params), jax.random.key(seed)
    random, done = np.random.default_rng(seed), 0
    for _ in range(config.epochs):
        order = random.permutation(len(inputs))
        for start in range(0, len(order) - per_step + 1, per_step):
            key, own = jax.random.split(key)
            rows = order[start : start + per_step]
            batch = (inputs[rows], gains[rows], where[rows])
            params, moments = _step(graph, config, params, moments, batch, schedule(done), own)
            done += 1
    return Ranker(ranker_config, nnx.merge(graph, params))


def _optimizer(config: RankerFitConfig) -> optax.GradientTransformation:
    """AdamW without the learning rate, which each step multiplies."""
    return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(config.weight_decay))


@jax.jit(static_argnums=(0, 1))
def _step(
    graph: nnx.GraphDef[Network],
    config: RankerFitConfig,
    params: Any,
    moments: Any,
    batch: tuple[Array, Array, Array],
    learning_rate: Array,
    key: Array,
) -> tuple[Any, Any]:
    """Take one step, and return the new parameters and moments."""
    inputs, gains, where = batch
    shape = (len(inputs), 1, inputs.shape[-1])
    keep = jax.random.bernoulli(key, 1 - config.feature_dropout, shape)
    dropped = inputs * keep / (1 - config.feature_dropout)

    def loss(params: Any) -> Array:
        scores = nnx.merge(graph, params)(dropped)
        ones = jnp.ones_like(scores)
        return weighted_listwise_softmax(scores, gains, where=where, weights=ones)

    updates, moments = _optimizer(config).update(jax.grad(loss)(params), moments, params)
    return jax.tree.map(lambda p, u: p - learning_rate * u, params, updates), moments
