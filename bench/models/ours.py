"""Shortlist's contestants; they run the same code as training and serving."""

import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from safetensors.numpy import load_file

from bench.harness.contest import Work
from bench.models.peers import MAX_TOKENS
from bert.compiled import serving_state
from bert.matmul import dense
from bert.model import Bert
from bert.numerics import choose_numerics
from bert.params import DEFAULT_PRETRAINED, WEIGHTS_FILE, load_bert, resolve_pretrained
from bert.tokens import Tokenised, Tokenizer
from rerank.features import FEATURE_NAMES
from rerank.model import RerankerConfig, pretrained_reranker
from rerank.scorer import pair_forward, read_pairs
from towers.encoder import TowerEncoder
from towers.model import Towers, TowersConfig
from towers.saving import pretrained_towers
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


def parts() -> tuple[Towers, Tokenizer]:
    """Return pretrained towers and their tokenizer."""
    directory = resolve_pretrained(DEFAULT_PRETRAINED)
    config = TowersConfig(max_query_tokens=24, max_item_tokens=MAX_TOKENS)
    return pretrained_towers(directory, config), Tokenizer.from_directory(directory)


def encode() -> Work:
    """Encode titles in bulk, as the index step of training does."""
    return bulk_encoder().items


def bulk_encoder() -> TowerEncoder:
    """Return the bulk encoder of the pretrained towers."""
    return TowerEncoder(*parts(), choose_numerics(), bulk=True)


def rerank(pairs: Sequence[tuple[str, str]], directory: Path) -> Work:
    """Rerank in the batch shapes of serving, with the other contestants' cross-encoder and head.

    The head is part of the compiled program, like the head of our reranker. If NumPy computed the
    head, NumPy's threads would spin during the next call and slow it down.
    """
    bert, dtype = load_bert(directory), choose_numerics().input_dtype
    head = {name: value.T for name, value in load_file(directory / WEIGHTS_FILE).items()
            if name.startswith(("bert.pooler", "classifier"))}  # fmt: skip
    graph = nnx.graphdef(bert)

    def read(state: Any, tokens: Any) -> jax.Array:
        model: Bert = nnx.merge(graph, state[0])
        pooler, classifier = (
            partial(dense, kernel=state[1][f"{name}.weight"], bias=state[1][f"{name}.bias"])
            for name in ("bert.pooler.dense", "classifier")
        )
        first = model.first(tokens, dtype=dtype)
        return classifier(jnp.tanh(pooler(first, dtype=jnp.float32)), dtype=jnp.float32)[..., 0]

    forward = pair_forward(read, (serving_state(bert, dtype), head), MAX_TOKENS)
    tokenizer = Tokenizer.from_directory(directory)

    def work() -> np.ndarray:
        first, _ = tokenizer.ids([query for query, _ in pairs], MAX_TOKENS - 3)
        second, _ = tokenizer.ids([text for _, text in pairs], MAX_TOKENS - 3)
        room = MAX_TOKENS - 3 - first.lengths
        return read_pairs(forward, Tokenised.of_pairs(first, second.cut(room), tokenizer))

    return work


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


def token_counts(pairs: Sequence[tuple[str, str, float]]) -> float:
    """Return the mean number of tokens of a pair, query and title together."""
    encoder = TowerEncoder(*parts(), choose_numerics())
    queries = encoder.tokenise("query", [query for query, *_ in pairs])
    items = encoder.tokenise("item", [title for _, title, _ in pairs])
    return float(queries.lengths.mean() + items.lengths.mean())


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
