import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from base.errors import InputError
from bert.config import BertConfig
from bert.model import Bert
from bert.numerics import Numerics
from bert.packing import pack
from bert.params import WeightsError
from bert.tokens import Tokenizer
from rerank.features import FEATURE_NAMES, FeatureStatistics
from rerank.model import (
    Reranker,
    RerankerConfig,
    load_reranker,
    pretrained_reranker,
    save_reranker,
    with_features,
)
from rerank.scorer import PairScorer
from rerank.tokens import tokenise_pairs

COSINE = FEATURE_NAMES.index("cosine")
CONFIG = RerankerConfig(max_query_tokens=4, max_tokens=24, fusion=8)
QUERY = "usb charger"
TEXTS = ["red usb charger", "", "Ladegerät 充电器 🔌", "cable " * 50, "desk lamp"]


@pytest.fixture(scope="module")
def bert(tokenizer) -> BertConfig:
    return BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        intermediate_size=16,
        max_positions=32,
    )


@pytest.fixture(scope="module")
def reranker(bert) -> Reranker:
    """A reranker with random weights, so that text and features both matter."""
    reranker = Reranker(CONFIG, bert, rngs=nnx.Rngs(1))
    key = jax.random.key(2)
    for layer in (reranker.output, reranker.linear, reranker.text, reranker.features):
        key, draw = jax.random.split(key)
        layer.kernel[...] = jax.random.normal(draw, layer.kernel.shape)
    return reranker


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(TEXTS), len(FEATURE_NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def statistics(features) -> FeatureStatistics:
    return FeatureStatistics.of(features)


@pytest.fixture(scope="module")
def scorer(reranker, statistics, tokenizer, compilation_cache) -> PairScorer:
    return PairScorer(reranker, statistics, tokenizer, Numerics("float32", "tests"))


def score(scorer: PairScorer, query: str, texts: list[str], features: np.ndarray) -> np.ndarray:
    return scorer.run(scorer.tokenise([query] * len(texts), texts), features)


def test_an_untrained_reranker_keeps_the_order_of_the_cosines(bert, reranker, scorer, features):
    scorer.update(Reranker(CONFIG, bert, rngs=nnx.Rngs(7)))
    untrained = score(scorer, QUERY, TEXTS, features)
    scorer.update(reranker)
    np.testing.assert_array_equal(np.argsort(-untrained), np.argsort(-features[:, COSINE]))


def test_a_score_does_not_depend_on_what_is_scored_with_it(scorer, features):
    together = score(scorer, QUERY, TEXTS, features)
    assert len(set(together.tolist())) == len(TEXTS)
    for row, text in enumerate(TEXTS):
        alone = score(scorer, QUERY, [text], features[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-5)
    mixed = score(scorer, QUERY, [*TEXTS[::-1], *TEXTS], np.concatenate([features[::-1], features]))
    np.testing.assert_allclose(mixed[5:], together, rtol=0, atol=1e-5)
    np.testing.assert_allclose(mixed[:5], together[::-1], rtol=0, atol=1e-5)


def test_scores_depend_on_query_text_and_features(scorer, features):
    base = score(scorer, QUERY, TEXTS[:1], features[:1])
    assert not np.allclose(base, score(scorer, "desk", TEXTS[:1], features[:1]), atol=1e-4)
    assert not np.allclose(base, score(scorer, QUERY, TEXTS[4:], features[:1]), atol=1e-4)
    assert not np.allclose(base, score(scorer, QUERY, TEXTS[:1], features[1:2]), atol=1e-4)


def test_no_items_give_no_scores(scorer):
    assert score(scorer, QUERY, [], np.zeros((0, len(FEATURE_NAMES)), np.float32)).shape == (0,)


def test_pairs_are_cut_to_the_budget_and_each_cut_pair_is_counted_once(tokenizer):
    tokenised, cut = tokenise_pairs(
        tokenizer,
        CONFIG,
        ["red", "red red red red red", "red", "red red red red red", "red red red red", ""],
        ["desk", "desk", "desk " * 40, "desk " * 40, "desk " * 17, "desk " * 21],
    )
    # A pair has 24 tokens: up to 4 of the query, [CLS], two [SEP], and so up to 17 of the item.
    assert cut == 3
    assert tokenised.lengths.tolist() == [5, 8, 24, 24, 24, 24]
    assert tokenised.first_lengths.tolist() == [3, 6, 3, 6, 6, 2]
    red, desk = (int(tokenizer.ids([word], 1)[0].values[0]) for word in ("red", "desk"))
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    assert tokenised.ids[3].tolist() == [cls, *[red] * 4, sep, *[desk] * 17, sep]


def test_the_query_of_many_pairs_is_tokenised_once(tokenizer, tmp_path):
    class Counting(Tokenizer):
        """Records the texts that it tokenises."""

        def ids(self, texts, max_tokens):
            recorded.extend(texts)
            return super().ids(texts, max_tokens)

    recorded: list[str] = []
    tokenizer.save(tmp_path)
    counting = Counting.from_directory(tmp_path)
    queries = [QUERY, QUERY, "desk", QUERY, ""]
    tokenised, _ = tokenise_pairs(counting, CONFIG, queries, TEXTS[:5])
    assert recorded == [QUERY, "desk", "", *TEXTS[:5]]
    for row, (query, text) in enumerate(zip(queries, TEXTS, strict=False)):
        alone, _ = tokenise_pairs(tokenizer, CONFIG, [query], [text])
        assert tokenised.ids[row].tolist() == alone.ids[0].tolist()
        assert tokenised.first_lengths[row] == alone.first_lengths[0]


def test_packed_pairs_score_as_padded_ones_do(reranker, scorer, statistics, features):
    tokenised = scorer.tokenise([QUERY] * len(TEXTS), TEXTS)
    inputs = statistics.standardise(features)
    packed = pack(tokenised, range(len(TEXTS)), rows=3, length=32)
    graph, state = nnx.split(reranker)
    scores = jax.jit(lambda state, *x: nnx.merge(graph, state).score_packed(*x))(
        state, packed, inputs
    )
    np.testing.assert_allclose(scores, scorer.run(tokenised, features), rtol=0, atol=1e-5)


def test_a_saved_reranker_loads_back_bit_by_bit(reranker, statistics, tmp_path):
    save_reranker(reranker, tmp_path)
    statistics.write(tmp_path)
    again = load_reranker(tmp_path)
    assert again.config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, nnx.state(reranker), nnx.state(again))
    # The weights of the encoder have the same names as in Hugging Face's BERT.
    assert "bert.encoder.layer.0.output.dense.weight" in load_file(tmp_path / "model.safetensors")


def test_weights_that_do_not_fit_are_refused_once_listing_all(reranker, statistics, tmp_path):
    save_reranker(reranker, tmp_path)
    statistics.write(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("output.bias")
    tensors["linear.kernel"] = tensors["linear.kernel"][:-1]
    save_file(tensors | {"head.bias": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_reranker(tmp_path)
    assert "missing output.bias" in str(caught.value)
    assert f"linear.kernel has shape ({2 * len(FEATURE_NAMES) - 1}, 1)" in str(caught.value)
    assert "unexpected head.bias" in str(caught.value)


def test_a_reranker_with_fewer_features_in_another_order_scores_as_it_did(
    bert, statistics, features, tokenizer, compilation_cache, tmp_path
):
    """An earlier version had fewer features and wrote such rerankers."""
    names = ("rating", "cosine", "price")
    columns = [FEATURE_NAMES.index(name) for name in names]
    older = Reranker(CONFIG, bert, features=names, rngs=nnx.Rngs(5))
    for layer in (older.output, older.linear, older.features):
        layer.kernel[...] = jax.random.normal(jax.random.key(6), layer.kernel.shape)
    save_reranker(older, tmp_path)
    mean, scale = (
        [getattr(statistics, field)[column] for column in columns] for field in ("mean", "scale")
    )
    (tmp_path / "features.json").write_text(
        json.dumps({"names": names, "mean": mean, "scale": scale, "trained": [True, True, False]})
    )
    again, known = load_reranker(tmp_path), FeatureStatistics.read(tmp_path)
    assert again.feature_names == known.names == names
    features = features.copy()
    features[1, columns[1]] = np.nan
    scorer = PairScorer(again, known, tokenizer, Numerics("float32", "tests"))
    scores = score(scorer, QUERY, TEXTS, features)

    own = (features[:, columns] - np.array(mean, np.float32)) / np.array(scale, np.float32)
    missing = np.isnan(own) | np.array([False, False, True])
    values = np.where(missing, 0, np.clip(own, -5, 5))
    inputs = np.concatenate([values, missing], axis=1).astype(np.float32)
    np.testing.assert_array_equal(known.standardise(features), inputs)
    text = scorer.read_tokenised(scorer.tokenise([QUERY] * len(TEXTS), TEXTS))
    expected = jax.jit(lambda *x: nnx.merge(*nnx.split(older)).fuse(*x))(text, inputs)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_a_reranker_given_new_features_scores_as_before(bert):
    older = Reranker(CONFIG, bert, features=("rating", "cosine"), rngs=nnx.Rngs(5))
    for layer in (older.output, older.linear, older.features):
        layer.kernel[...] = jax.random.normal(jax.random.key(6), layer.kernel.shape)
    widened = with_features(older, FEATURE_NAMES)
    assert widened.feature_names == FEATURE_NAMES
    columns = [FEATURE_NAMES.index(name) for name in older.feature_names]
    count = len(FEATURE_NAMES)
    text = jax.random.normal(jax.random.key(1), (5, CONFIG.fusion))
    inputs = jax.random.normal(jax.random.key(2), (5, 2 * count))
    own = inputs[:, np.array([*columns, *(count + column for column in columns)])]
    np.testing.assert_allclose(widened.fuse(text, inputs), older.fuse(text, own), rtol=1e-5)
    assert with_features(widened, FEATURE_NAMES) is widened


def test_a_directory_of_something_else_is_refused(statistics, tmp_path):
    statistics.write(tmp_path)
    (tmp_path / "config.json").write_text('{"dim": 3}')
    with pytest.raises(InputError, match="describes no reranker"):
        load_reranker(tmp_path)


def test_a_new_reranker_takes_its_encoder_over(bert):
    encoder = Bert(bert, rngs=nnx.Rngs(9))
    reranker = pretrained_reranker(encoder, CONFIG, seed=0)
    assert reranker.bert is encoder
    assert not reranker.output.kernel[...].any()


@pytest.mark.parametrize(("query", "most"), [(21, 24), (4, 33), (4, 7)])
def test_budgets_out_of_their_limits_are_refused(bert, query, most):
    with pytest.raises(InputError, match=f"max_tokens {most} must exceed max_query_tokens {query}"):
        replace(CONFIG, max_query_tokens=query, max_tokens=most).check(bert)


def test_inputs_and_networks_of_any_size_are_refused(bert):
    long = replace(bert, max_positions=50_000)
    with pytest.raises(InputError, match=r"max_tokens 1025 .* be at most 1024"):
        replace(CONFIG, max_tokens=1_025).check(long)
    replace(CONFIG, max_tokens=1_024).check(long)
    for fusion in (0, 10**9):
        with pytest.raises(InputError, match=f"fusion {fusion} is not between 1 and 8192"):
            replace(CONFIG, fusion=fusion).check(bert)
