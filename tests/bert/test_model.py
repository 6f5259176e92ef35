import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from base.errors import InputError
from bert.batch import Tokens, attention_mask, mean_pool
from bert.config import BertConfig
from bert.model import Bert, dense, dropout


def batch_of(*rows: list[int], length: int) -> Tokens:
    ids = np.zeros((len(rows), length), np.int32)
    mask = np.zeros((len(rows), length), np.bool_)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = True
    return Tokens(ids, mask, np.zeros_like(ids))


def encode(bert: Bert, tokens: Tokens, key=None, dtype=jnp.float32):
    graphdef, state = nnx.split(bert)
    return jitted(graphdef, dtype, state, tokens, key)


@partial(jax.jit, static_argnums=(0, 1))
def jitted(graphdef, dtype, state, tokens, key):
    return nnx.merge(graphdef, state)(tokens, dtype=dtype, dropout_key=key)


# Parity with Hugging Face on torch, for the tokens and features in references.npz.


@pytest.fixture(scope="module", params=["single", "pair"])
def parity(request, minilm, references):
    """Our outputs and the reference outputs for one batch, each by the name of its module."""
    theirs = {
        name.removeprefix(f"{request.param}."): value
        for name, value in references.items()
        if name.startswith(request.param)
    }
    graphdef, state = nnx.split(minilm)

    @jax.jit
    def outputs(state, tokens):
        bert = nnx.merge(graphdef, state)
        last = bert(tokens)
        results = {
            "last": last,
            "pooled": mean_pool(last, tokens.mask),
            "first": bert.first(tokens),
        }
        results["embeddings"] = hidden = bert.embeddings(tokens)
        mask = attention_mask(tokens)
        for number, layer in enumerate(bert.layers):
            results[f"attention.{number}"] = attended = layer.attention(hidden, mask)
            results[f"intermediate.{number}"] = layer.mlp.intermediate(attended)
            results[f"layer.{number}"] = hidden = layer(hidden, mask)
        return results

    tokens = Tokens(*(theirs[name] for name in Tokens._fields))
    return outputs(state, tokens), theirs


def test_every_module_computes_what_hugging_face_computes(parity):
    ours, theirs = parity
    modules = ours.keys() - {"last", "pooled", "first"}
    assert len(modules) == 1 + 3 * 6
    for name in sorted(modules):
        # Intermediate outputs are not normalised and reach 24. There, float32 numbers are 2e-6
        # apart, so only these outputs have a relative tolerance too.
        rtol = 1e-6 if name.startswith("intermediate") else 0
        values = ours[name][theirs["rows"], theirs["columns"], ::4]
        np.testing.assert_allclose(values, theirs[name], rtol=rtol, atol=1e-5, err_msg=name)


def test_the_whole_model_computes_what_hugging_face_computes(parity):
    ours, theirs = parity
    last = ours["last"][theirs["rows"], theirs["columns"]]
    np.testing.assert_allclose(last, theirs["last"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours["pooled"], theirs["pooled"], rtol=0, atol=1e-5)


def test_the_first_token_alone_has_the_same_result(parity):
    ours, _ = parity
    np.testing.assert_allclose(ours["first"], ours["last"][:, 0], rtol=0, atol=1e-5)


def test_gradients_through_the_first_token_are_those_through_all(tiny):
    tokens = batch_of([1, 2, 3], [4, 5, 6, 7, 8], length=6)
    graphdef, state = nnx.split(tiny)

    def gradient(of):
        return jax.jit(jax.grad(lambda state: jnp.square(of(nnx.merge(graphdef, state))).sum()))(
            state
        )

    alone = gradient(lambda bert: bert.first(tokens))
    expected = gradient(lambda bert: bert(tokens)[:, 0])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=1e-5), alone, expected)


def test_bfloat16_products_stay_close_to_float32(minilm, references):
    tokens = Tokens(*(references[f"single.{name}"] for name in Tokens._fields))
    hidden = encode(minilm, tokens, dtype=jnp.bfloat16)
    pooled = np.asarray(mean_pool(hidden, tokens.mask))
    assert pooled.dtype == np.float32
    exact = references["single.pooled"]
    cosine = (pooled * exact).sum(axis=1) / (
        np.linalg.norm(pooled, axis=1) * np.linalg.norm(exact, axis=1)
    )
    # bfloat16 rounds each input of a product to 8 bits, a relative error of at most 1 / 512. Most
    # of these errors cancel. `bench.models.comparisons` uses the same bound for equal answers.
    assert cosine.min() > 0.9999


# Padding.


def test_padding_changes_nothing(tiny):
    short = encode(tiny, batch_of([2, 7, 3], length=3))
    padded = encode(tiny, batch_of([2, 7, 3], [2, 5, 6, 7, 8, 9, 3], length=7))
    np.testing.assert_allclose(padded[0, :3], short[0], atol=1e-6)


def test_a_row_of_padding_alone_is_finite(tiny):
    tokens = batch_of([], [2, 3], length=4)
    hidden = encode(tiny, tokens)
    assert np.isfinite(hidden).all()
    np.testing.assert_array_equal(mean_pool(hidden, tokens.mask)[0], np.zeros(16))


def test_mean_pool_is_the_mean_of_real_tokens():
    hidden = jnp.asarray([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    np.testing.assert_allclose(mean_pool(hidden, np.array([[True, True, False]])), [[2.0, 4.0]])


def test_a_row_longer_than_the_positions_is_refused(tiny):
    with pytest.raises(ValueError, match="41 tokens, but BERT has 40 positions"):
        tiny(batch_of([1] * 41, length=41))


def test_segment_types_matter(tiny):
    tokens = batch_of([2, 7, 3], length=3)
    other = tokens._replace(types=np.array([[0, 0, 1]], np.int32))
    assert np.abs(np.asarray(encode(tiny, tokens) - encode(tiny, other))).max() > 1e-4


# The dense product.


def test_dense_is_a_product_and_a_bias():
    product = dense(
        jnp.asarray([[[1.0, 2.0]]]),
        jnp.asarray([[1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]),
        jnp.asarray([10.0, 20.0, 30.0]),
        jnp.float32,
    )
    np.testing.assert_array_equal(product, [[[11.0, 22.0, 38.0]]])


def test_dense_accumulates_in_float32():
    # The sum of 256 ones and 1/256 needs more than the 8 bits of bfloat16.
    x = jnp.asarray([[1.0] * 256 + [1 / 256]])
    product = dense(x, jnp.ones((257, 1)), jnp.zeros(1), jnp.bfloat16)
    assert product.dtype == jnp.float32
    assert float(product[0, 0]) == 256 + 1 / 256


# Training.


def pooled_loss(graphdef, state, tokens, key=None):
    hidden = nnx.merge(graphdef, state)(tokens, dropout_key=key)
    return jnp.square(mean_pool(hidden, tokens.mask) - 1.0).mean()


def test_the_gradient_reaches_every_parameter(tiny):
    graphdef, state = nnx.split(tiny)
    tokens = Tokens(
        np.arange(50, dtype=np.int32)[:48].reshape(2, 24),
        np.ones((2, 24), np.bool_),
        np.arange(48, dtype=np.int32).reshape(2, 24) % 2,
    )
    gradient = jax.jit(jax.grad(lambda state: pooled_loss(graphdef, state, tokens)))(state)
    for path, leaf in nnx.to_flat_state(gradient):
        assert np.abs(leaf[...]).max() > 0, path
    keys = np.split(np.asarray(gradient["layers"][0]["attention"]["qkv"]["kernel"][...]), 3, axis=1)
    assert all(np.abs(part).max() > 0 for part in keys)


def test_all_state_is_parameters(tiny):
    _, parameters, rest = nnx.split(tiny, nnx.Param, ...)
    assert not jax.tree.leaves(rest)
    # 50 + 40 + 2 embeddings and 2 vectors of a norm have 16 values each. A layer has four 16x16
    # kernels with biases, a 16x24 and a 24x16 kernel with biases, and two norms of 2 x 16 values.
    layer = 4 * (16 * 16 + 16) + 2 * 16 * 24 + 24 + 16 + 4 * 16
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == 94 * 16 + 2 * layer


def test_dropout_is_drawn_from_its_key_alone(tiny):
    tokens = batch_of([2, 7, 8, 3], length=4)
    once, again = (encode(tiny, tokens, jax.random.key(1)) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    other = encode(tiny, tokens, jax.random.key(2))
    assert np.abs(np.asarray(once - other)).max() > 1e-3
    assert np.abs(np.asarray(once - encode(tiny, tokens))).max() > 1e-3


def test_without_a_rate_a_dropout_key_changes_nothing(tiny_config):
    still = Bert(dataclasses.replace(tiny_config, dropout=0.0), rngs=nnx.Rngs(0))
    tokens = batch_of([2, 7, 8, 3], length=4)
    np.testing.assert_array_equal(encode(still, tokens), encode(still, tokens, jax.random.key(0)))


@pytest.mark.parametrize("shape", [(101, 99), (1,)])
def test_dropout_zeroes_its_share_and_keeps_the_mean(shape):
    dropped = np.asarray(dropout(jnp.ones(shape), 0.25, jax.random.key(3)))
    values = np.unique(dropped)
    assert all(value == 0 or math.isclose(value, 4 / 3, rel_tol=1e-4) for value in values)
    if dropped.size > 1:
        # The share of zeros is within four standard deviations of 0.25.
        spread = 4 * math.sqrt(0.25 * 0.75 / dropped.size)
        assert abs((dropped == 0).mean() - 0.25) < spread


# The configuration.


def test_minilm_s_config_is_read(minilm):
    assert minilm.config == BertConfig(
        vocab_size=30522, hidden_size=384, num_layers=6, num_heads=12, intermediate_size=1536
    )


def test_a_config_survives_hugging_faces_form(tiny_config):
    config = dataclasses.replace(
        tiny_config, type_vocab_size=3, layer_norm_eps=1e-5, dropout=0.2
    )  # no field has its default
    assert BertConfig.from_hf(config.to_hf()) == config


def test_every_norm_adds_the_epsilon_of_the_config_to_the_variance(tiny_config):
    bert = Bert(dataclasses.replace(tiny_config, layer_norm_eps=3.0), rngs=nnx.Rngs(0))
    signs = np.resize([1.0, -1.0], tiny_config.hidden_size)  # mean 0, variance 1
    norms = [bert.embeddings.norm]
    for layer in bert.layers:
        norms += [layer.attention.norm, layer.mlp.norm]
    assert len(norms) == 5
    for norm in norms:
        np.testing.assert_allclose(norm(jnp.asarray(signs)), signs / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'; only 'gelu' is supported"),
        ({"model_type": "gpt2"}, "model_type is 'gpt2'; only bert, xlm-roberta, roberta are"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"hidden_size": 17}, "hidden_size 17 is not a multiple of num_attention_heads 4"),
        ({"vocab_size": None, "num_hidden_layers": "6"}, "under vocab_size, num_hidden_layers"),
        ({"hidden_dropout_prob": 1.0}, "dropout 1.0"),
    ],
)
def test_an_unsupported_config_is_refused(tiny_config, change, message):
    with pytest.raises(InputError, match=message):
        BertConfig.from_hf(tiny_config.to_hf() | change)
