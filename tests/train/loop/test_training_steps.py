"""Training steps of towers and reranker: their inputs, and the updates of every parameter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bert.batch import Tokens
from bert.numerics import Numerics
from tests.jaxprs import input_types, products
from tests.train.examples import TEXTS, relevance, reranker_example, towers_example
from towers.encoder import TowerEncoder
from towers.model import TowersConfig
from train.data.relevance import Relevance
from train.loop.fit import FitConfig, TrainingSetup, fit
from train.loop.parameters import encoder_parameters, make_mesh, split
from train.pipeline.towers import IN_BATCH_LOSS, make_pairs

FAST = FitConfig(learning_rate=1e-2, head_learning_rate=1e-2, warmup=0.1)


@pytest.fixture(scope="module")
def pairs_of(tokenizer):
    """Return a function that makes training pairs of queries with lists of (item, grade)."""
    config = TowersConfig(dim=16, max_query_tokens=8, max_item_tokens=16)

    def make(texts, *judged):
        pairs = [(n, item, grade) for n, (_, of) in enumerate(judged) for item, grade in of]
        query, item, grade = zip(*pairs, strict=True)
        relevance = Relevance(
            queries=tuple(text for text, _ in judged),
            splits=("train",) * len(judged),
            query=np.array(query, np.int32),
            item=np.array(item, np.int32),
            grade=np.array(grade, np.float32),
            grade_min=0.0,
            relevant_from=2.0,
        )
        return make_pairs(relevance, tokenizer, config, texts)

    return make


def test_pairs_are_what_is_relevant_weighted_by_its_gain(pairs_of):
    pairs = pairs_of(["saw", "drill", "lamp"], ("a saw", [(0, 4), (1, 1)]), ("light", [(2, 2)]))
    assert pairs.query.tolist() == [0, 1]
    assert pairs.item.tolist() == [0, 2]
    np.testing.assert_allclose(pairs.weight, [1, 0.5])
    assert len(pairs.queries) == 2
    assert len(pairs.items) == 3


def test_false_negatives_are_liked_items_and_their_likes(pairs_of):
    # Items 0 and 3 have the same text. Queries 0 and 2 differ only in case and spaces, so they
    # count as the same query.
    texts = ["saw", "drill", "lamp", "saw"]
    pairs = pairs_of(
        texts, ("tool", [(0, 3), (1, 3)]), ("light", [(2, 3)]), ("TOOL ", [(2, 3)]), ("x", [(3, 3)])
    )
    assert list(zip(pairs.query.tolist(), pairs.item.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 2), (2, 2), (3, 3)
    ]  # fmt: skip
    expected = [
        # A row is the query of a pair, a column the item of a pair: items 0, 1, 2, 2 and 3.
        # tool: items 0 and 1; item 3, whose text is that of item 0; item 2, judged for TOOL
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [0, 0, 1, 1, 0],  # light: item 2
        [1, 1, 1, 1, 1],
        [1, 0, 0, 0, 1],  # x: item 3; item 0, whose text is that of item 3
    ]
    found = pairs.false_negatives(np.arange(5))
    np.testing.assert_array_equal(found, np.array(expected, bool))
    batch = pairs.loader([np.array([2, 4])], shared=True, devices=1)(np.array([2, 4]))
    np.testing.assert_array_equal(batch.where, [[False, True], [True, False]])


def test_a_pair_that_comes_twice_is_no_negative_of_itself(pairs_of):
    pairs = pairs_of(["saw", "lamp"], ("tool", [(0, 3)]), ("light", [(1, 3)]))
    found = pairs.false_negatives(np.array([0, 0, 1]))
    np.testing.assert_array_equal(
        found, [[True, True, False], [True, True, False], [False, False, True]]
    )


def test_the_training_loss_is_that_of_the_vectors_that_serving_computes(tokenizer):
    example = towers_example(tokenizer)
    judged = relevance()
    encoder = TowerEncoder(example.model, tokenizer, Numerics("float32", "tests"))
    queries = encoder.queries(judged.queries)
    items = encoder.items([TEXTS[row] for row in judged.item[judged.relevant]])
    batch = example.load()(example.batch)
    expected = IN_BATCH_LOSS(
        jnp.asarray(queries @ items.T),
        example.model.log_temperature[...],
        where=jnp.asarray(batch.where),
        weights=jnp.asarray(batch.weights),
    )
    found, scalars = jax.jit(example.loss)(example.params, batch, None)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(scalars["temperature"], 0.05, rtol=1e-6)


def test_the_lists_of_a_batch_keep_their_gains_weights_and_judgments(tokenizer):
    example = reranker_example(tokenizer)
    lists, batch = example.loader(1).lists, example.load()(example.batch)
    assert 0.5 in lists.weight
    assert not lists.judged.all()
    for number, where in enumerate(batch.where):
        inside = slice(lists.start[number], lists.start[number + 1])
        np.testing.assert_array_equal(batch.gains[number][where], lists.gain[inside])
        np.testing.assert_array_equal(batch.weights[number][where], lists.weight[inside])
        np.testing.assert_array_equal(batch.judged[number][where], lists.judged[inside])
        assert not batch.judged[number][~where].any()


def test_the_listwise_loss_weighs_its_items_and_the_pairwise_loss_counts_judged_ones(tokenizer):
    example = reranker_example(tokenizer)
    batch, loss = example.load()(example.batch), jax.jit(example.loss)
    value, parts = loss(example.params, batch, None)
    np.testing.assert_allclose(value, parts["listwise"] + 0.5 * parts["pairwise"], rtol=1e-6)
    # Among the judged items of equal gains, no pair differs.
    equal = batch._replace(gains=np.where(batch.judged, 1, batch.gains).astype(np.float32))
    assert parts["pairwise"] > 0
    assert loss(example.params, equal, None)[1]["pairwise"] == 0
    # A weight that is nearly 0 takes the negatives out of the softmax.
    negative = batch.where & (batch.gains == 0)
    light = batch._replace(weights=np.where(negative, 1e-30, batch.weights).astype(np.float32))
    without = batch._replace(where=batch.where & ~negative)
    found, expected = (loss(example.params, each, None)[1]["listwise"] for each in (light, without))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert abs(found - parts["listwise"]) > 0.1


# These biases add the same number to all scores of a list, so they do not change the listwise loss.
NO_GRADIENT = {"output.bias", "linear.bias"}


@pytest.mark.parametrize("kind", ["shared towers", "separate towers", "reranker"])
def test_a_few_steps_move_every_trainable_leaf_and_lower_the_loss(tokenizer, tmp_path, kind):
    if kind == "reranker":
        example = reranker_example(tokenizer)
    else:
        example = towers_example(tokenizer, shared=kind == "shared towers")
    load = example.load()
    params, report = fit(
        example.params,
        example.loss,
        [example.batch] * 6,
        load,
        TrainingSetup(
            FAST,
            seed=0,
            mesh=make_mesh(),
            checkpoints=tmp_path / "checkpoints",
            scalars=tmp_path / "scalars",
        ),
        encoder=encoder_parameters(example.model),
        evaluate=None,
    )
    assert report["step"] == 6
    still = {
        name
        for name, value in example.params.items()
        if np.array_equal(value, params[name]) or not np.isfinite(params[name]).all()
    }
    assert still <= NO_GRADIENT
    # For separate towers, the loss is not checked, because its compilation takes seconds.
    if kind != "separate towers":
        loss = jax.jit(example.loss)
        before, after = (loss(p, load(example.batch), None)[0] for p in (example.params, params))
        assert after < 0.97 * before


def test_a_model_is_put_together_again_from_its_parameters(tokenizer):
    example = towers_example(tokenizer, shared=False)
    build, params = split(example.model)
    changed = {name: value + 1 for name, value in params.items()}
    again = split(build(changed))[1]
    assert again.keys() == params.keys()
    for name, value in params.items():
        np.testing.assert_array_equal(again[name], value + 1)


def test_gradients_do_not_pass_the_least_temperature(tokenizer):
    example = towers_example(tokenizer)
    cold = {**example.params, "log_temperature": np.log(np.float32(0.001))}
    value, scalars = jax.jit(example.loss)(cold, example.load()(example.batch), None)
    assert np.isfinite(value)
    np.testing.assert_allclose(scalars["temperature"], 0.01, rtol=1e-6)


# By default, accelerators round the inputs of products, but a CPU does not. So a test on a CPU must
# check the precision in the jaxpr.


def exact_only(jaxpr):
    """Fail on a float32 product whose inputs may be rounded."""
    found = [each for each in products(jaxpr) if "float32" in input_types(each)]
    assert found
    for product in found:
        assert product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2, product


@pytest.mark.parametrize("example", [towers_example, reranker_example])
def test_a_step_in_float32_multiplies_float32(tokenizer, example):
    made = example(tokenizer)
    step = jax.make_jaxpr(jax.grad(made.loss, has_aux=True))
    exact_only(step(made.params, made.load()(made.batch), None).jaxpr)


def test_vectors_in_float32_are_made_of_float32(tokenizer):
    towers = towers_example(tokenizer).model
    ids = np.ones((2, 8), np.int32)
    tokens = Tokens(ids, ids > 0, ids - ids)
    exact_only(jax.make_jaxpr(towers.encode_query)(tokens).jaxpr)
