"""The cross-encoder of an XLM-R: pairs with two separators and no types."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from bert.numerics import Numerics
from bert.params import load_bert
from bert.tokens import Tokenizer
from rerank.features import FEATURE_NAMES, FeatureStatistics
from rerank.model import (
    RerankerConfig,
    load_reranker,
    pretrained_reranker,
    save_reranker,
)
from rerank.scorer import PairScorer
from rerank.tokens import tokenise_pairs
from tests.unigram import TEXTS, write_multilingual

CONFIG = RerankerConfig(max_query_tokens=4, max_tokens=24, fusion=8)
QUERY = "手机壳"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_multilingual(tmp_path_factory.mktemp("model"), "xlm-roberta")


@pytest.fixture(scope="module")
def tokenizer(model) -> Tokenizer:
    return Tokenizer.from_directory(model)


def test_pairs_use_the_whole_budget_with_two_separators(tokenizer):
    pairs, cut = tokenise_pairs(
        tokenizer,
        CONFIG,
        ["手", "手 手 手", "手"],
        ["机", " ".join(["机"] * 40), " ".join(["机"] * 9)],
    )
    # Each word has two pieces. A pair has 24 tokens: <s>, four of the query, three </s>, and so 16
    # of the item.
    assert cut == 1
    assert pairs.lengths.tolist() == [8, 24, 24]
    whole = tokenizer.ids(["手 手", " ".join(["机"] * 8)], 100)[0]
    query, item = (whole[row].tolist() for row in range(2))
    assert pairs.ids[1].tolist() == [0, *query, 2, 2, *item, 2]
    assert not pairs.pad(range(3), 24, 3).types.any()


def test_scores_in_a_batch_are_those_of_one_pair_and_survive_saving(model, tokenizer, tmp_path):
    reranker = pretrained_reranker(load_bert(model), CONFIG, seed=3)
    reranker.output.kernel[...] = nnx.Rngs(4).params.normal(reranker.output.kernel.shape)
    features = np.random.default_rng(0).normal(size=(len(TEXTS), len(FEATURE_NAMES)))
    statistics = FeatureStatistics.of(features.astype(np.float32))
    inputs = statistics.standardise(features.astype(np.float32))
    scorer = PairScorer(reranker, statistics, tokenizer, Numerics("float32", "tests"))
    tokenised = scorer.tokenise([QUERY] * len(TEXTS), TEXTS)
    scores = scorer.run(tokenised, features.astype(np.float32))
    assert np.ptp(scores) > 0.01
    for row in range(3):
        alone = reranker(tokenised.pad([row], 24, 1), jnp.asarray(inputs[row : row + 1]))
        np.testing.assert_allclose(alone[0], scores[row], rtol=0, atol=1e-4)
    save_reranker(reranker, tmp_path)
    statistics.write(tmp_path)
    loaded = PairScorer(
        load_reranker(tmp_path), statistics, tokenizer, Numerics("float32", "tests")
    )
    np.testing.assert_array_equal(loaded.run(tokenised, features.astype(np.float32)), scores)
