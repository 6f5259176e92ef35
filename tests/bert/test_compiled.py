import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from bert.batch import Tokens, mean_pool
from bert.compiled import BucketedForward, serving_state
from bert.model import Bert
from bert.tokens import Ragged, Tokenised


def tokenised_of(lengths, seed=0) -> Tokenised:
    random = np.random.default_rng(seed)
    rows = Ragged.of([random.integers(1, 50, length).tolist() for length in lengths])
    return Tokenised(rows, rows.lengths, pad_id=0)


@pytest.fixture
def pooled(tiny_config):
    bert = Bert(dataclasses.replace(tiny_config, num_layers=1), rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(bert)

    def fn(state, tokens: Tokens):
        return mean_pool(nnx.merge(graphdef, state)(tokens), tokens.mask)

    return fn, state


def alone(pooled, tokenised: Tokenised) -> np.ndarray:
    """Run every row in a batch of its own, with a shape that no bucket has."""
    fn, state = jax.jit(pooled[0]), pooled[1]
    return np.concatenate([fn(state, tokenised.pad([i], 39, 1)) for i in range(len(tokenised))])


def counting(state, tokens: Tokens):
    """Stand in for a model: return the sum of each row's ids, and the shape of its batch."""
    batch, length = tokens.ids.shape
    shape = jnp.tile(jnp.asarray([batch, length]), (batch, 1))
    return jnp.concatenate([tokens.ids.sum(axis=1, keepdims=True) * state, shape], axis=1)


# Results.


def test_results_are_in_order_and_equal_to_each_row_alone(pooled):
    tokenised = tokenised_of([3, 39, 1, 3, 16, 38])
    forward = BucketedForward(*pooled, max_length=40, batch_tokens=64, small_batches=(1,))
    np.testing.assert_allclose(forward(tokenised), alone(pooled, tokenised), atol=1e-5, rtol=0)


def test_a_row_does_not_depend_on_what_shares_its_batch(pooled):
    forward = BucketedForward(*pooled, max_length=24, batch_tokens=128)
    row = tokenised_of([9])
    results = [forward(row)[0]]
    for others in ([5], [20, 3, 12], [11] * 20):
        mixed = tokenised_of(others, seed=1).ids
        rows = Ragged.of([mixed[i].tolist() for i in range(len(mixed))] + [row.ids[0].tolist()])
        results.append(forward(Tokenised(rows, rows.lengths, pad_id=0))[-1])
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-5, rtol=0)


def test_a_row_goes_to_the_shortest_length_that_holds_it():
    forward = BucketedForward(counting, jnp.asarray(1), max_length=40)
    tokenised = tokenised_of([1, 16, 17, 24, 25, 33, 40])
    assert forward(tokenised)[:, 2].tolist() == [16, 16, 24, 24, 32, 40, 40]


@pytest.mark.parametrize("mix_lengths", [False, True])
def test_every_row_is_in_one_batch_that_holds_it(mix_lengths):
    chance = np.random.default_rng(0)
    forward = BucketedForward(
        counting,
        jnp.asarray(1),
        max_length=96,
        batch_tokens=256,
        small_batches=(1, 4),
        mix_lengths=mix_lengths,
    )
    for rows in [*range(1, 12), 100]:
        tokenised = tokenised_of(chance.integers(1, 97, rows))
        results = forward(tokenised)
        sums = [tokenised.ids[row].sum() for row in range(rows)]
        assert results[:, 0].tolist() == sums
        shapes = [(batch, length) for batch, length in results[:, 1:].tolist()]
        assert set(shapes) <= set(forward.shapes)
        for length, shape in zip(tokenised.lengths, shapes, strict=True):
            assert length <= shape[1]


def test_rows_of_mixed_lengths_fill_batches(pooled):
    seen = BucketedForward(
        counting,
        jnp.asarray(1),
        max_length=40,
        batch_tokens=80,
        small_batches=(1,),
        mix_lengths=True,
    )
    # The two longest texts form a batch of 2 x 40, the next three 3 x 24, the others 5 x 16.
    shapes = seen(tokenised_of([1, 40, 17, 16, 24, 25, 20, 3]))[:, 1:].tolist()
    assert shapes == [[5, 16], [2, 40], [3, 24], [5, 16], [3, 24], [2, 40], [3, 24], [5, 16]]
    tokenised = tokenised_of([3, 39, 1, 3, 16, 38, 9])
    mixed = BucketedForward(*pooled, max_length=40, batch_tokens=64, mix_lengths=True)
    np.testing.assert_allclose(mixed(tokenised), alone(pooled, tokenised), atol=1e-5, rtol=0)


def test_rows_are_divided_into_the_fastest_batches():
    forward = BucketedForward(
        counting, jnp.asarray(1), max_length=16, batch_tokens=1600, small_batches=(1, 8)
    )
    assert forward.shapes == [(1, 16), (8, 16), (100, 16)]
    for rows, batches in {1: [1], 7: [8] * 7, 9: [8] * 8 + [1], 95: [100] * 95}.items():
        assert forward(tokenised_of([5] * rows))[:, 1].tolist() == batches
    assert forward(tokenised_of([5] * 201))[:, 1].tolist() == [100] * 200 + [1]
    # For five rows, one batch of 6 takes less time than batches of 4 and 1.
    forward = BucketedForward(
        counting, jnp.asarray(1), max_length=16, batch_tokens=1600, small_batches=(1, 4, 6)
    )
    for rows, batches in {5: [6] * 5, 7: [6] * 6 + [1], 8: [4] * 8}.items():
        assert forward(tokenised_of([5] * rows))[:, 1].tolist() == batches


def test_no_batch_is_larger_than_the_token_budget():
    forward = BucketedForward(counting, jnp.asarray(1), max_length=512, batch_tokens=1024)
    assert all(batch * length <= 1024 for batch, length in forward.shapes)
    smallest = BucketedForward(counting, jnp.asarray(1), max_length=512, batch_tokens=16)
    assert {batch for batch, _ in smallest.shapes} == {1}


def test_no_rows_give_an_empty_result_of_the_right_shape(pooled):
    forward = BucketedForward(*pooled, max_length=40)
    result = forward(tokenised_of([]))
    assert result.shape == (0, 16)
    assert result.dtype == np.float32


def test_a_row_too_long_is_refused():
    forward = BucketedForward(counting, jnp.asarray(1), max_length=40)
    with pytest.raises(ValueError, match="row 1 has 41 tokens, more than max_length 40"):
        forward(tokenised_of([3, 41]))


# Compilation.


def test_nothing_is_compiled_after_warm_up():
    forward = BucketedForward(counting, jnp.asarray(2), max_length=24, batch_tokens=64)
    forward.warm_up()
    # The shapes are (1, 16), (4, 16), (1, 24) and (2, 24).
    assert forward.compilations == len(forward.shapes) == 4
    for rows in (1, 2, 3, 5, 17):
        tokenised = tokenised_of(np.random.default_rng(rows).integers(1, 25, rows), seed=rows)
        forward(tokenised)
    assert forward.compilations == 4


def test_warming_up_measures_the_latency_of_each_length():
    forward = BucketedForward(counting, jnp.asarray(2), max_length=24, batch_tokens=64)
    assert forward.least_seconds(16) == 0.0
    forward.warm_up()
    assert all(0 < forward.least_seconds(length) < 1 for length in forward.lengths)


def test_a_forward_runs_the_programs_it_shares_on_its_own_parameters():
    forward = BucketedForward(counting, jnp.asarray(2), max_length=24, batch_tokens=64)
    other = BucketedForward(forward.programs, jnp.asarray(3), max_length=16, batch_tokens=64)
    forward.warm_up()
    other.warm_up()
    assert forward.compilations == other.compilations == len(forward.shapes)
    tokenised = tokenised_of([9])
    total = tokenised.ids[0].sum()
    assert forward(tokenised)[:, 0].tolist() == [2 * total]
    assert other(tokenised)[:, 0].tolist() == [3 * total]
    assert 0 < other.least_seconds(16) < 1


def test_warming_up_again_runs_nothing():
    runs = []

    class Counted(BucketedForward):
        def start(self, tokens: Tokens):
            runs.append(tokens.ids.shape)
            return super().start(tokens)

    forward = Counted(counting, jnp.asarray(2), max_length=16, batch_tokens=64)
    forward.warm_up()
    assert sorted(runs) == sorted(2 * forward.shapes)
    forward.warm_up()
    assert len(runs) == 2 * len(forward.shapes)


def test_warming_up_ends_when_nobody_waits_for_it():
    forward = BucketedForward(counting, jnp.asarray(2), max_length=24, batch_tokens=64)
    calls = iter([None] * 5)
    with pytest.raises(StopIteration):
        forward.warm_up(lambda: next(calls))
    assert not all(forward.programs.latencies[shape].seconds for shape in forward.shapes)


def test_serving_state_rounds_the_kernels_of_encoders_alone(tiny_config):
    bert = Bert(tiny_config, rngs=nnx.Rngs(0))
    before = dict(nnx.to_flat_state(nnx.state(bert)))
    after = dict(nnx.to_flat_state(serving_state(bert, jnp.bfloat16)))
    assert after.keys() == before.keys()
    rounded = {path for path, leaf in after.items() if leaf.dtype == jnp.bfloat16}
    assert rounded == {path for path in before if path[-1] == "kernel"} != set()
    assert all(leaf.dtype == jnp.float32 for leaf in before.values())  # unchanged


def test_serving_state_changes_no_result(tiny_config):
    bert = Bert(tiny_config, rngs=nnx.Rngs(0))
    graph, tokens = nnx.graphdef(bert), tokenised_of([5, 9]).pad([0, 1], 16, 2)
    for dtype in (jnp.float32, jnp.bfloat16):
        served = nnx.merge(graph, serving_state(bert, dtype))
        np.testing.assert_array_equal(served(tokens, dtype=dtype), bert(tokens, dtype=dtype))
