"""Examples for training tests: a small batch for the towers, and one for the reranker."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from bert.tokens import Tokenizer
from catalog.item_text import item_text
from rerank.features import FEATURES, FeatureStatistics
from rerank.model import Reranker, RerankerConfig
from rerank.tokens import tokenise_pairs
from tests.tiny import tiny_bert, tiny_items
from towers.model import Towers, TowersConfig
from train.data.candidates import CandidateLists
from train.data.relevance import Relevance
from train.loop.fit import Loss
from train.loop.parameters import Params, split
from train.pipeline.rerank import ListLoader, lists_loss
from train.pipeline.towers import make_pairs, pairs_loss

TEXTS = [item_text(item) for item in tiny_items()]


@dataclass(frozen=True)
class Example:
    """Arguments of `fit`: parameters, loss, a batch of eight examples, and the batch's loader."""

    params: Params
    loss: Loss
    batch: np.ndarray
    model: nnx.Module
    loader: Any  # takes a number of devices; returns a function that loads a batch

    def load(self, devices: int = 1) -> Any:
        return self.loader(devices)


def relevance() -> Relevance:
    """Return judgments of eight queries, each with a relevant and an irrelevant item."""
    return Relevance(
        queries=tuple(text.split(".")[0].lower() for text in TEXTS[::6]),
        splits=("train",) * 8,
        query=np.repeat(np.arange(8), 2).astype(np.int32),
        item=np.stack([np.arange(8) * 6, np.arange(8) * 6 + 1], axis=1)
        .reshape(-1)
        .astype(np.int32),
        grade=np.tile(np.array([3, 1], np.float32), 8),
        grade_min=1.0,
        relevant_from=2.0,
    )


def towers_example(tokenizer: Tokenizer, *, shared: bool = True) -> Example:
    config = TowersConfig(dim=16, shared=shared, max_query_tokens=8, max_item_tokens=16)
    towers = Towers(config, tiny_bert(tokenizer), rngs=nnx.Rngs(1))
    pairs = make_pairs(relevance(), tokenizer, config, TEXTS)
    build, params = split(towers)
    batch = np.arange(8)

    def loader(devices: int) -> Any:
        return pairs.loader([batch], shared=shared, devices=devices)

    return Example(params, pairs_loss(build, jnp.float32), batch, towers, loader)


def reranker_example(tokenizer: Tokenizer) -> Example:
    config = RerankerConfig(max_query_tokens=8, max_tokens=32, fusion=8)
    reranker = Reranker(config, tiny_bert(tokenizer), rngs=nnx.Rngs(2))
    random = np.random.default_rng(3)
    # The lists have 2 to 5 candidates. All 27 candidates do not divide evenly among 2, 4 or 8
    # devices.
    start = np.cumsum([0, 2, 5, 3, 4, 3, 5, 2, 3]).astype(np.int32)
    row = random.permutation(len(TEXTS))[: start[-1]].astype(np.int32)
    features = random.normal(size=(len(row), len(FEATURES))).astype(np.float32)
    lists = CandidateLists(
        query=np.arange(8, dtype=np.int32),
        start=start,
        row=row,
        cosine=features[:, 0],
        gain=random.integers(0, 3, len(row)).astype(np.float32),
        weight=np.where(random.random(len(row)) < 0.3, 0.5, 1).astype(np.float32),
        judged=random.random(len(row)) < 0.7,
    )
    statistics = FeatureStatistics.of(features)
    queries = [relevance().queries[n] for n in np.repeat(np.arange(8), np.diff(start))]
    tokenised, _ = tokenise_pairs(tokenizer, config, queries, [TEXTS[n] for n in row])
    build, params = split(reranker)
    batch = np.arange(8)

    def loader(devices: int) -> Any:
        return ListLoader.fitting(
            lists, tokenised, statistics.standardise(features), [batch], devices
        )

    return Example(params, lists_loss(build, jnp.float32, 0.5), batch, reranker, loader)
