"""Scores of a real encoder hardly depend on other pairs of a batch, or on cached results.

The engine packs all pairs that are not cached into rows, and rows into batches. Other pairs do not
change what a pair attends to. But they change the pair's place in a row and the size of the batch,
and XLA may then add numbers in another order.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from bert.matmul import gelu
from bert.model import first_layers
from bert.numerics import Numerics, choose_numerics
from bert.params import DEFAULT_PRETRAINED, load_bert, resolve_pretrained
from bert.tokens import Tokenizer
from catalog.item_text import item_text
from catalog.items import Item
from rerank.features import FeatureStatistics, word_overlap
from rerank.model import Reranker, RerankerConfig, pretrained_reranker, save_reranker
from rerank.scorer import PairScorer
from search import bundle
from search.config import EngineConfig
from search.engine import Engine
from search.request import RerankRequest
from tests.tiny import tiny_items, write_bundle

TAUGHT = ("voltix usb c charger 65 watt", "hdmi cable", "30 watt ampere", "ohm & co cable 2 metre")
QUERIES = TAUGHT[:2]
EXACT = Numerics("float32", "tests")
Scores = Mapping[str, float]


def varied_items() -> list[Item]:
    """Return items of different lengths: their pairs fill a third of a packed row, or up to all."""
    changes: list[dict[str, Any]] = [
        {"description": None, "attributes": {}},
        {},
        {"description": "In a box. " * 12},
    ]
    return [replace(item, **changes[row % 3]) for row, item in enumerate(tiny_items()[::2])]


def words_of(query: str) -> np.ndarray:
    """Return, for each item, the share of the query's words that its title has."""
    return word_overlap(query, [item.title for item in varied_items()])


def teach(reranker: Reranker, directory: Path) -> None:
    """Fit the head by least squares, so that scores count the query's words in the title.

    With a random head, scores would have no meaning, and rounding errors could change the order.
    """
    for kernel in (reranker.features.kernel, reranker.linear.kernel):
        kernel[...] = jnp.zeros_like(kernel[...])
    tokenizer = Tokenizer.from_directory(directory / bundle.TOKENIZER)
    statistics = FeatureStatistics.read(directory / bundle.RERANK)
    scorer = PairScorer(reranker, statistics, tokenizer, EXACT)
    texts = [item_text(item) for item in varied_items()]
    read = np.concatenate(
        [scorer.read_tokenised(scorer.tokenise([query] * len(texts), texts)) for query in TAUGHT]
    )
    wanted = np.concatenate([words_of(query) for query in TAUGHT])
    inputs = np.asarray(gelu(jnp.asarray(read)), np.float64)
    products = inputs.T @ inputs
    products += 0.001 * products.trace() / len(products) * np.eye(len(products))
    head = np.linalg.solve(products, inputs.T @ wanted)
    reranker.output.kernel[...] = jnp.asarray(head[:, None], jnp.float32)


@pytest.fixture(scope="module")
def opened(tmp_path_factory, compilation_cache) -> Callable[..., Engine]:
    """Return a function that opens a bundle whose reranker has four layers of the real encoder."""
    directory = tmp_path_factory.mktemp("scores") / "bundle"
    write_bundle(directory, varied_items(), choose_numerics())
    encoder = first_layers(load_bert(resolve_pretrained(DEFAULT_PRETRAINED)), 4)
    reranker = pretrained_reranker(encoder, RerankerConfig(max_tokens=48), seed=0)
    teach(reranker, directory)
    save_reranker(reranker, directory / bundle.RERANK)
    manifest = bundle.Manifest.read(directory)

    def opened(beside: Engine | None = None, **options: Any) -> Engine:
        models = None if beside is None else beside.models
        return Engine(directory, manifest, EngineConfig(**options), models)

    return opened


@pytest.fixture(scope="module")
def exact(opened) -> dict[str, Scores]:
    """Scores of all items in float32, by query."""
    engine = opened(numerics="float32")
    return {query: ask(engine, query, engine.store.ids)[0] for query in QUERIES}


@pytest.fixture(params=["float32", "bfloat16"])
def served(request, opened) -> Iterator[Engine]:
    """An engine that batches the work of concurrent calls, as in a server."""
    engine = opened(numerics=request.param)
    engine.share()
    yield engine
    engine.close()


def ask(engine: Engine, query: str, item_ids) -> tuple[Scores, int]:
    """Return the scores by item, and how many results came from the cache."""
    result = engine.rerank(RerankRequest(query, list(item_ids)))
    return {hit.item_id: hit.score for hit in result.hits}, result.stages[-1].cached


def test_a_score_hardly_depends_on_what_else_is_scored_and_what_is_remembered(
    served, opened, exact
):
    ids, dtype = np.array(served.store.ids), served.numerics.dtype
    forgetful = opened(served, numerics=dtype, cache_megabytes=0)
    alone = {q: {i: ask(forgetful, q, [i])[0][i] for i in ids.tolist()} for q in QUERIES}
    random = np.random.default_rng(0)
    asked = [
        (query, random.permutation(ids)[: random.integers(2, len(ids))].tolist())
        for query in QUERIES * 6
    ]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda call: ask(served, *call), asked))
    remembered = [count / len(scores) for scores, count in found]
    assert any(0 < share < 1 for share in remembered)

    def differences(of: Mapping[str, Scores]) -> np.ndarray:
        calls = zip(asked, found, strict=True)
        return np.array([s[i] - of[q][i] for (q, _), (s, _) in calls for i in s])

    spread = np.mean([np.std(list(scores.values())) for scores in exact.values()])
    errors = [alone[q][i] - exact[q][i] for q in QUERIES for i in ids.tolist()]
    # Two bfloat16 scores of a pair may have errors in opposite directions, so the bound is twice
    # the largest error of bfloat16 against float32.
    bound = 1e-5 if dtype == "float32" else 2 * np.abs(errors).max()
    assert bound < spread / 5
    assert np.abs(differences(alone)).max() <= bound
    # Compare the order of two items only if their titles differ in the number of query words,
    # because the head was trained for that.
    worth = {query: dict(zip(ids.tolist(), words_of(query), strict=True)) for query in QUERIES}
    same = [
        np.sign(scores[a] - scores[b]) == np.sign(alone[query][a] - alone[query][b])
        for (query, _), (scores, _) in zip(asked, found, strict=True)
        for a in scores
        for b in scores
        if worth[query][a] < worth[query][b]
    ]
    assert np.mean(same) >= 0.995
