import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from base.errors import InputError
from bert.config import BertConfig
from bert.numerics import Numerics
from bert.packing import pack
from bert.params import WeightsError
from tests.tiny import break_word, write_pretrained
from towers.encoder import TowerEncoder
from towers.model import Towers, TowersConfig, project
from towers.saving import load_towers, pretrained_towers, save_towers

TEXTS = ["usb c charger", "", "ein Ladegerät für 30 €, 充电器 🔌", "hdmi " * 200, "cable"]
FLOAT32 = Numerics("float32", "tests")
TOWERS = ("query", "item")


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
def towers(bert) -> Towers:
    config = TowersConfig(dim=8, max_query_tokens=16, max_item_tokens=24)
    return Towers(config, bert, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def encoder(towers, tokenizer, compilation_cache) -> TowerEncoder:
    return TowerEncoder(towers, tokenizer, FLOAT32)


def test_both_towers_give_unit_vectors_of_any_text(encoder):
    for vectors in (encoder.queries(TEXTS), encoder.items(TEXTS)):
        assert vectors.shape == (len(TEXTS), 8)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_vector_does_not_depend_on_what_is_encoded_with_it(encoder):
    together = encoder.items(TEXTS)
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.items([text])[0], together[row], rtol=0, atol=1e-5)


def test_no_texts_give_no_vectors(encoder):
    assert encoder.queries([]).shape == (0, 8)


def test_texts_beyond_the_budget_are_cut_and_counted(towers, tokenizer):
    encoder = TowerEncoder(towers, tokenizer, FLOAT32)
    tokenised = encoder.tokenise("query", TEXTS)
    assert tokenised.lengths.max() == 16
    assert encoder.truncated == 1
    # 22 words and two special tokens fit in the budget; 23 words do not.
    encoder.tokenise("item", ["cable", "cable " * 22, "cable " * 23])
    assert encoder.truncated == 2


def test_a_prefix_stands_before_each_text_and_counts_in_the_budget(towers, bert, tokenizer):
    config = replace(towers.config, query_prefix="query: ", item_prefix="passage: ")
    plain, prefixed = (
        TowerEncoder(Towers(chosen, bert, rngs=nnx.Rngs(0)), tokenizer, FLOAT32)
        for chosen in (towers.config, config)
    )
    for tower, prefix in (("query", "query: "), ("item", "passage: ")):
        expected = plain.tokenise(tower, [prefix + text for text in TEXTS])
        assert prefixed.tokenise(tower, TEXTS).ids.values.tolist() == expected.ids.values.tolist()
    np.testing.assert_array_equal(prefixed.queries(["usb"]), plain.queries(["query: usb"]))


def test_a_text_is_pooled_by_its_mean_or_by_its_first_token(towers, bert, tokenizer):
    tokenised = TowerEncoder(towers, tokenizer, FLOAT32).tokenise("query", TEXTS[:3])
    padded, packed = tokenised.pad(range(3), 16, 3), pack(tokenised, range(3), rows=1, length=48)
    vectors = {}
    for pooling in (None, "mean", "cls"):
        model = Towers(replace(towers.config, pooling=pooling), bert, rngs=nnx.Rngs(0))
        hidden = np.asarray(model.bert(padded))
        mean = [row[keep].mean(axis=0) for row, keep in zip(hidden, padded.mask, strict=True)]
        expected = hidden[:, 0, :8] if pooling == "cls" else np.stack(mean)[:, :8]
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        for tokens in (padded, packed):
            np.testing.assert_allclose(model.encode_query(tokens)[0], expected, rtol=0, atol=1e-5)
        encoder = TowerEncoder(model, tokenizer, FLOAT32)
        np.testing.assert_allclose(encoder.queries(TEXTS[:3]), expected, rtol=0, atol=1e-5)
        vectors[pooling] = expected
    np.testing.assert_array_equal(vectors[None], vectors["mean"])
    assert not np.allclose(vectors["cls"], vectors["mean"], atol=0.01)


@pytest.mark.parametrize("shared", [True, False])
def test_each_tower_is_encoded_with_parameters_of_its_own(bert, tokenizer, shared):
    config = TowersConfig(dim=8, shared=shared, max_query_tokens=12, max_item_tokens=24)
    towers, others = (Towers(config, bert, rngs=nnx.Rngs(seed)) for seed in (1, 2))
    for model in (towers, others):
        model.item_projection[...] = model.item_projection[...][:, ::-1]
    encoder = TowerEncoder(towers, tokenizer, FLOAT32)
    encoder.warm_up()
    # The shapes of queries are (1, 12), (8, 12) and (85, 12). Those of items are (1, 16), (8, 16),
    # (64, 16), (1, 24), (8, 24) and (42, 24).
    assert encoder.compilations == 9
    for model in (towers, others):
        encoder.update(model)
        query, item = (encoder.tokenise(tower, TEXTS[:1]).pad([0], 16, 1) for tower in TOWERS)
        np.testing.assert_allclose(
            encoder.queries(TEXTS[:1]), model.encode_query(query)[0], rtol=0, atol=1e-6
        )
        np.testing.assert_allclose(
            encoder.items(TEXTS[:1]), model.encode_item(item)[0], rtol=0, atol=1e-6
        )
    assert encoder.compilations == 9


def test_an_untrained_projection_is_the_first_axes_of_the_pooled_encoder(towers):
    pooled = jnp.array(np.random.default_rng(0).normal(size=(3, 16)), jnp.float32)
    vectors, diagnostics = project(pooled, towers.query_projection[...])
    norms = np.linalg.norm(pooled[:, :8], axis=1)
    np.testing.assert_allclose(vectors, pooled[:, :8] / norms[:, None], rtol=1e-5)
    np.testing.assert_allclose(diagnostics["norm"], norms.mean(), rtol=1e-5)


def test_a_text_that_pools_to_zero_has_a_finite_vector_and_gradient(towers):
    def total(pooled):
        return project(pooled, towers.item_projection[...])[0].sum()

    value, gradient = jax.value_and_grad(total)(jnp.zeros((1, 16)))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_a_vector_that_is_not_finite_is_refused_and_others_are_given(bert, tokenizer):
    config = TowersConfig(dim=8, max_query_tokens=16, max_item_tokens=16)
    towers = Towers(config, bert, rngs=nnx.Rngs(0))
    break_word(towers, tokenizer, "cursed")
    encoder = TowerEncoder(towers, tokenizer, FLOAT32)
    assert np.isfinite(encoder.items(["usb cable", "lamp"])).all()
    for tower, encode in (("query", encoder.queries), ("item", encoder.items)):
        with pytest.raises(InputError, match=f"the {tower} tower gives a vector that is not"):
            encode(["usb cable", "a cursed lamp"])


def test_one_encoder_is_shared_unless_separate_ones_are_asked_for(bert, tokenizer):
    config = TowersConfig(dim=16, max_query_tokens=16, max_item_tokens=16)
    shared = Towers(config, bert, rngs=nnx.Rngs(0))
    separate = Towers(replace(config, shared=False), bert, rngs=nnx.Rngs(0))
    tokens = TowerEncoder(shared, tokenizer, FLOAT32).tokenise("query", TEXTS[:1]).pad([0], 16, 1)
    assert shared.item_bert is None
    np.testing.assert_array_equal(shared.encode_query(tokens)[0], shared.encode_item(tokens)[0])
    query, item = separate.encode_query(tokens)[0], separate.encode_item(tokens)[0]
    assert not np.allclose(query, item, atol=1e-3)


@pytest.mark.parametrize("shared", [True, False])
def test_saved_towers_load_back_bit_by_bit(bert, tmp_path, shared):
    config = TowersConfig(dim=8, shared=shared, max_query_tokens=8, max_item_tokens=8)
    towers = Towers(config, bert, rngs=nnx.Rngs(3))
    save_towers(towers, tmp_path)
    again = load_towers(tmp_path)
    assert again.config == config
    assert again.bert.config == bert
    jax.tree.map(np.testing.assert_array_equal, nnx.state(towers), nnx.state(again))


def test_weights_that_do_not_fit_are_refused_once_listing_all(towers, tmp_path):
    save_towers(towers, tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["query_projection"]
    del tensors["bert.embeddings.word_embeddings.weight"]
    tensors["item_projection"] = np.zeros((16, 9), np.float32)
    tensors["surprise"] = np.zeros(1, np.float32)
    save_file(tensors, path)
    with pytest.raises(WeightsError) as caught:
        load_towers(tmp_path)
    for part in (
        "missing query_projection",
        "missing embeddings.word_embeddings.weight",
        "item_projection has shape (16, 9), the config says (16, 8)",
        "unexpected surprise",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "config.json cannot be read"),
        ("{", "config.json cannot be read"),
        ("[]", "holds no JSON object"),
        ("{}", "describes no towers: 'bert'"),
        ('{"bert": {}}', "no whole number under vocab_size"),
    ],
)
def test_a_damaged_configuration_is_refused_by_name(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=message):
        load_towers(tmp_path)


def test_an_unknown_option_in_a_configuration_is_refused(towers, tmp_path):
    save_towers(towers, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"dim"', '"width": 3,\n "dim"'))
    with pytest.raises(InputError, match=r"describes no towers.*width"):
        load_towers(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("pooling", "max"), ("query_prefix", 3), ("item_prefix", "x" * 2_000)]
)
def test_a_pooling_or_prefix_that_cannot_work_is_refused(towers, tmp_path, name, value):
    save_towers(towers, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(InputError, match=name.removeprefix("query_").removeprefix("item_")):
        load_towers(tmp_path)


@pytest.mark.parametrize(("name", "value"), [("pooling", "max"), ("query_prefix", 3)])
def test_an_invalid_pooling_or_prefix_is_refused_without_an_encoder(name, value):
    config = TowersConfig()
    object.__setattr__(config, name, value)  # past the checks of types, which only tests have
    with pytest.raises(InputError, match=f"towers: {name} {value!r} is "):
        config.__post_init__()


def test_towers_of_earlier_bundles_pool_by_the_mean_without_prefixes(towers, tmp_path):
    save_towers(towers, tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    for name in ("pooling", "query_prefix", "item_prefix"):
        del values[name]
    path.write_text(json.dumps(values))
    assert load_towers(tmp_path).config == towers.config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 17}, "dim 17 is not between 1 and .* 16"),
        ({"dim": 0}, "dim 0"),
        ({"dim": 8, "max_query_tokens": 2}, "max_query_tokens 2"),
        ({"dim": 8, "max_item_tokens": 33}, "max_item_tokens 33 .* 32 positions"),
        ({"dim": 8, "max_item_tokens": 16, "temperature": 0.0}, "temperature 0.0"),
        ({"dim": 8, "max_item_tokens": 16, "temperature": float("nan")}, "temperature nan"),
    ],
)
def test_sizes_that_cannot_work_are_refused_by_name(bert, options, message):
    with pytest.raises(InputError, match=message):
        TowersConfig(**options).check(bert)


def test_inputs_of_any_length_are_refused(bert):
    with pytest.raises(InputError, match="max_item_tokens 1025 is not between 3 and 1024"):
        TowersConfig(dim=8, max_item_tokens=1_025).check(replace(bert, max_positions=50_000))


def test_towers_over_a_pretrained_encoder_start_from_its_weights(tmp_path):
    directory = write_pretrained(tmp_path)
    config = TowersConfig(dim=16, shared=False, max_query_tokens=8, max_item_tokens=16)
    towers = pretrained_towers(directory, config, num_layers=1)
    assert towers.bert.config.num_layers == 1
    word = load_file(directory / "model.safetensors")["embeddings.word_embeddings.weight"]
    for bert in (towers.bert, towers.item_bert):
        np.testing.assert_array_equal(bert.embeddings.word[...], word)
    assert float(towers.log_temperature[...]) == pytest.approx(np.log(0.05))
