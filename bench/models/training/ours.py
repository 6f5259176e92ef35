"""Shortlist's contestants for training steps; they run the same code as training."""

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.harness.contest import Work
from bench.harness.inputs import MAX_TOKENS
from bench.models.ours import parts
from bert.numerics import choose_numerics
from bert.params import load_bert
from bert.tokens import Tokenised, Tokenizer
from rerank.features import FEATURE_NAMES
from rerank.model import RerankerConfig, pretrained_reranker
from towers.encoder import TowerEncoder
from train.data.batches import Packer
from train.loop.fit import FitConfig, make_optimizer, make_train_step
from train.loop.parameters import (
    batch_sharding,
    encoder_parameters,
    make_mesh,
    parameter_sharding,
    replicate_rest,
    split,
)
from train.pipeline.towers import Pairs, pairs_loss


def train_towers(pairs: Sequence[tuple[str, str, float]], steps: int) -> Work:
    """Train the towers on batches of 64 pairs, packed as in the training pipeline."""
    towers, tokenizer = parts()
    encoder = TowerEncoder(towers, tokenizer, choose_numerics())
    count = len(pairs)
    data = Pairs(
        queries=encoder.tokenise("query", [query for query, *_ in pairs]),
        items=encoder.tokenise("item", [title for _, title, _ in pairs]),
        query=np.arange(count, dtype=np.int32),
        item=np.arange(count, dtype=np.int32),
        weight=np.ones(count, np.float32),
        name=np.arange(count),
        text=np.arange(count),
        liked=np.arange(count) * (count + 1),
    )
    plan = [np.arange(count)[start : start + 64] for start in range(0, count, 64)]
    load = data.loader(plan, shared=True, devices=1)
    build, params = split(towers)
    loss = pairs_loss(build, choose_numerics().input_dtype)
    plan = [plan[step % len(plan)] for step in range(steps + 1)]
    return _stepping(loss, params, encoder_parameters(towers), plan, load)


def train_cross_encoder(
    pairs: Sequence[tuple[str, str, float]], directory: Path, steps: int
) -> Work:
    """Train the reranker on batches of 32 pairs, with the loss of the other contestants."""
    bert, dtype = load_bert(directory), choose_numerics().input_dtype
    config = RerankerConfig(max_tokens=MAX_TOKENS)
    reranker = pretrained_reranker(bert, config, seed=0)
    build, params = split(reranker)
    tokenizer = Tokenizer.from_directory(directory)
    first, _ = tokenizer.ids([query for query, *_ in pairs], config.max_query_tokens)
    second, _ = tokenizer.ids([title for _, title, _ in pairs], MAX_TOKENS)
    second = second.cut(MAX_TOKENS - 3 - first.lengths)
    plan = [np.arange(len(pairs))[start : start + 32] for start in range(0, len(pairs), 32)]
    packer = Packer.fitting(Tokenised.of_pairs(first, second, tokenizer), plan, devices=1)
    grades = np.array([grade for *_, grade in pairs], np.float32)

    def loss(params: Any, batch: Any, _: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        packed, labels = batch
        features = jnp.zeros((len(labels), 2 * len(FEATURE_NAMES)))
        scores = build(params).score_packed(packed, features, dtype=dtype)
        return optax.sigmoid_binary_cross_entropy(scores, labels).mean(), {}

    def load(numbers: np.ndarray) -> Any:
        return packer(numbers), grades[numbers]

    plan = [plan[step % len(plan)] for step in range(steps + 1)]
    return _stepping(loss, params, encoder_parameters(reranker), plan, load)


def _stepping(
    loss: Any, params: Any, encoder: Collection[str], plan: Sequence[np.ndarray], load: Any
) -> Work:
    """Return a function that trains, timed from the end of the first step to that of the last."""
    mesh = make_mesh()
    optimizer = make_optimizer(FitConfig(learning_rate=2e-5), params, encoder, 1000)
    params = jax.device_put(params, parameter_sharding(mesh, params))
    state = [params, replicate_rest(mesh, optimizer.init(params))]
    step = make_train_step(loss, optimizer, None, *state)

    def work() -> tuple[float, None]:
        times = []
        for number, examples in enumerate(plan):
            batch = jax.device_put(load(examples), batch_sharding(mesh))
            *state[:], values = step(*state, batch, number)
            jax.block_until_ready((state, values))
            times.append(time.perf_counter())
        return times[-1] - times[0], None

    return work
