"""Scores of a real encoder through the engine: what else is scored, and what is remembered.

Pairs are packed into rows, and rows into batches, with whatever else is asked for and is not
remembered. A pair attends to itself alone, so this moves it to another place and into a batch of
another size, where XLA may take sums in another order.
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
    """Items whose pairs fill from a third of a packed row to a whole row."""
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
    """Make it score by the text alone, for the query's words in the title: by least squares.

    With a head at random, noise would be as good a direction as any meaning.
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
    """Opens a bundle whose reranker has the real encoder, with as many layers as training keeps."""
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
    """An engine that scores in float32."""
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
    # Other sums round other activations to bfloat16 the other way: an error of the same kind as
    # that of bfloat16 against float32, on both sides.
    bound = 1e-5 if dtype == "float32" else 2 * np.abs(errors).max()
    assert bound < spread / 5
    assert np.abs(differences(alone)).max() <= bound
    # Only pairs of items that differ in words of the query; the head was trained on those words.
    worth = {query: dict(zip(ids.tolist(), words_of(query), strict=True)) for query in QUERIES}
    same = [
        np.sign(scores[a] - scores[b]) == np.sign(alone[query][a] - alone[query][b])
        for (query, _), (scores, _) in zip(asked, found, strict=True)
        for a in scores
        for b in scores
        if worth[query][a] < worth[query][b]
    ]
    assert np.mean(same) >= 0.995
