"""Train the ranker of recommendations with a listwise loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Bool, Float32

from rerank.losses import weighted_listwise_softmax
from rerank.recommend.ranker import Ranker, RankerConfig


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
    matrix, targets, where = matrix[used], targets[used], where[used]
    ranker_config = RankerConfig.of(features, matrix[where], config.hidden)
    inputs = ranker_config.standardise(matrix)
    ranker = Ranker(ranker_config, rngs=nnx.Rngs(seed))
    graph, params = nnx.split(ranker)
    per_step = min(config.lists_per_step, len(inputs))
    steps = config.epochs * (len(inputs) // max(per_step, 1))
    if not steps:
        return ranker
    schedule = optax.cosine_decay_schedule(config.learning_rate, steps)
    optimizer = optax.adamw(schedule, weight_decay=config.weight_decay)

    def loss(params, x, gains, mask, key):  # type: ignore[no-untyped-def]
        keep = jax.random.bernoulli(key, 1 - config.feature_dropout, (len(x), 1, x.shape[-1]))
        scores = nnx.merge(graph, params)(x * keep / (1 - config.feature_dropout))
        return weighted_listwise_softmax(scores, gains, where=mask, weights=jnp.ones_like(scores))

    @jax.jit
    def step(params, moments, x, gains, mask, key):  # type: ignore[no-untyped-def]
        gradient = jax.grad(loss)(params, x, gains, mask, key)
        updates, moments = optimizer.update(gradient, moments, params)
        return optax.apply_updates(params, updates), moments

    moments, key = optimizer.init(params), jax.random.key(seed)
    random = np.random.default_rng(seed)
    gains = targets.astype(np.float32)
    for _ in range(config.epochs):
        order = random.permutation(len(inputs))
        for start in range(0, len(order) - per_step + 1, per_step):
            key, own = jax.random.split(key)
            rows = order[start : start + per_step]
            params, moments = step(params, moments, inputs[rows], gains[rows], where[rows], own)
    trained: Ranker = nnx.merge(graph, params)
    return trained
