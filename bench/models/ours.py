"""Shortlist's contestants for encoding and reranking; they run the same code as serving."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors.numpy import load_file

from bench.harness.contest import Work
from bench.harness.inputs import MAX_TOKENS
from bert.compiled import serving_state
from bert.matmul import dense
from bert.model import Bert
from bert.numerics import choose_numerics
from bert.params import DEFAULT_PRETRAINED, WEIGHTS_FILE, load_bert, resolve_pretrained
from bert.tokens import Tokenised, Tokenizer
from rerank.scorer import pair_forward, read_pairs
from towers.encoder import TowerEncoder
from towers.model import Towers, TowersConfig
from towers.saving import pretrained_towers


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


def rerank(directory: Path) -> Work:
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

    def work(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        first, _ = tokenizer.ids([query for query, _ in pairs], MAX_TOKENS - 3)
        second, _ = tokenizer.ids([text for _, text in pairs], MAX_TOKENS - 3)
        room = MAX_TOKENS - 3 - first.lengths
        return read_pairs(forward, Tokenised.of_pairs(first, second.cut(room), tokenizer))

    return work


def token_counts(pairs: Sequence[tuple[str, str, float]]) -> float:
    """Return the mean number of tokens of a pair, query and title together."""
    encoder = TowerEncoder(*parts(), choose_numerics())
    queries = encoder.tokenise("query", [query for query, *_ in pairs])
    items = encoder.tokenise("item", [title for _, title, _ in pairs])
    return float(queries.lengths.mean() + items.lengths.mean())
