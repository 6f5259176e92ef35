"""User vectors: any part of a request may be absent; older events count less; files round-trip."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from base.errors import InputError
from bert.params import CONFIG_FILE, WeightsError
from tests.towers.history.examples import (
    PURCHASE,
    at,
    bought,
    random_encoder,
    random_tower,
    unit_vectors,
)
from towers.history.encoder import UserEncoder
from towers.history.forward import (
    CONTEXT_VALUES,
    UserForward,
    UserInput,
    UserInputs,
    context_rows,
)
from towers.history.model import HistoryConfig, HistoryTower
from towers.history.moment import MomentFeatures
from towers.history.saving import load_history, save_history

EVENTS = ((0, 0, 1), (0, 1, 5), (1, 2, 5), (1, 0, 8))
TEXT, RESIDUAL = slice(0, 8), slice(8, 11)
QUERY = unit_vectors(1, seed=9)[0]
NOW = at(10)
NOBODY = UserInput(
    *(np.zeros((0, width), "f4") for width in (8, 3, 3)), np.zeros(0, int), np.zeros(0, "f4")
)


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(bought(*EVENTS))


@pytest.fixture(scope="module")
def forward():
    return UserForward(random_tower())


def user(*events, **given) -> UserInput:
    """Make a user with (item, day) events of random items."""
    items = [item for item, _ in events]
    random = np.random.default_rng(3)
    residual, moment = (random.normal(size=(4, 3)).astype("f4") for _ in range(2))
    gaps = np.array([10 - day for _, day in events], "f4")
    types = np.full(len(events), PURCHASE)
    return UserInput(unit_vectors()[items], residual[items], moment[items], types, gaps, **given)


def test_a_score_is_the_inner_product_of_user_and_item_vectors(encoder):
    histories = bought(*EVENTS)
    vectors = encoder.encode(histories, NOW)
    assert vectors.shape == (2, 8 + 3 + 2 + 1)
    items = encoder.item_vectors(NOW)
    np.testing.assert_array_equal(items[:, TEXT], unit_vectors())
    np.testing.assert_allclose(encoder.scores(histories, NOW), vectors @ items.T, rtol=1e-6)


def test_only_the_last_columns_of_items_depend_on_the_time(encoder):
    early, late = encoder.item_vectors(at(6)), encoder.item_vectors(NOW)
    np.testing.assert_array_equal(early[:, :11], late[:, :11])
    assert (early[:, 11:] != late[:, 11:]).any()


def test_an_item_that_was_not_sold_before_the_time_takes_the_blocks_of_similar_items():
    tower, text = random_tower(), unit_vectors()
    text[3] = text[0]
    moments = MomentFeatures.of(bought(*EVENTS, (0, 3, 12)), text, np.full(4, np.nan, "f4"))
    items = UserEncoder(tower, text, moments).item_vectors(NOW)
    weights = np.maximum(text[3] @ text[:3].T, 0) ** 8
    expected = 0.6 * weights / weights.sum() @ items[:3, 8:]
    expected[-1] += 0.8
    np.testing.assert_allclose(items[3, 8:], expected, rtol=1e-5)


def test_without_a_history_and_a_query_only_the_moment_counts(forward):
    [vector] = forward([NOBODY])
    assert not vector[:11].any()
    assert vector[-1] > 0


@pytest.mark.parametrize(
    "given",
    [
        user((0, 5)),
        replace(NOBODY, query=QUERY),
        user((0, 5), query=QUERY),
        replace(NOBODY, context={"country": "France"}),
    ],
)
def test_each_part_of_a_request_changes_the_vector(forward, given):
    assert np.abs(forward([given])[0] - forward([NOBODY])[0]).max() > 1e-3


def test_a_query_alone_is_its_direction_in_the_text_block(forward):
    [vector] = forward([replace(NOBODY, query=QUERY)])
    norm = np.linalg.norm(vector[TEXT])
    np.testing.assert_allclose(vector[TEXT] / norm, QUERY, atol=1e-5)
    assert not vector[RESIDUAL].any()


def test_an_older_event_counts_less():
    untrained = UserForward(HistoryTower(random_tower().config, rngs=nnx.Rngs(0)))
    [vector] = untrained([user((0, -90), (1, 9))])
    text = unit_vectors()
    assert vector[TEXT] @ text[1] > vector[TEXT] @ text[0]


def test_a_vector_depends_neither_on_padding_nor_on_other_requests(forward):
    one = user((0, 5), (1, 5), query=QUERY, context={"a": "b"})
    long = user(*[(2, 5)] * 40, context={"a": "b", "c": "d"})
    alone = forward([one])[0]
    for position, batch in ((0, [one, long]), (1, [long, one] * 80)):
        np.testing.assert_allclose(forward(batch)[position], alone, atol=1e-5)


def test_no_users_give_no_vectors(forward):
    assert forward([]).shape == (0, 14)


def test_only_the_newest_events_count(forward):
    newest = [(1, 5)] * 256
    vectors = forward([user(*[(0, 5)] * 9, *newest), user(*newest)])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_a_tower_of_other_items_is_refused():
    text = unit_vectors(5)
    moments = MomentFeatures.of(bought(*EVENTS, items=5), text, np.ones(5, "f4"))
    with pytest.raises(InputError, match="has 4 items with text vectors of width 8, and the index"):
        UserEncoder(random_tower(), text, moments)


def test_context_rows_do_not_depend_on_the_order_of_attributes():
    rows = context_rows({"country": "France", "device": "phone"}, 16)
    assert rows.tolist() == context_rows({"device": "phone", "country": "France"}, 16).tolist()
    assert ((rows >= 1) & (rows < 16)).all()


def test_only_the_first_attributes_of_a_context_count(forward):
    many = {f"name{number}": "x" for number in range(CONTEXT_VALUES + 1)}
    first = dict(list(many.items())[:-1])
    [one, other] = forward([replace(NOBODY, context=many), replace(NOBODY, context=first)])
    np.testing.assert_array_equal(one, other)


def test_every_parameter_has_a_gradient(encoder):
    tower = random_tower()
    given = user((0, 5), query=QUERY, context={"a": "b"})
    batch = UserInputs([given], tower.config).pad([0], 32, 1)
    graph, state = nnx.split(tower)
    features = jnp.asarray(encoder._moments.features(NOW, np.arange(4)))

    def total(state):
        tower = nnx.merge(graph, state)
        block = tower.moment_block(features)
        moment = batch.moment + block[:1, None]
        residual = batch.residual + tower.event_residual[...][:1, None]
        user = tower(batch._replace(moment=moment, residual=residual))[0]
        return (user[8:11] @ tower.item_residual[...][1]) + user[11:] @ block[1] + user[:8].sum()

    for path, gradient in nnx.to_flat_state(jax.jit(jax.grad(total))(state)):
        assert np.abs(gradient[...]).max() > 0, path


def test_a_saved_tower_is_the_same(tmp_path):
    tower = random_tower()
    save_history(tower, tmp_path)
    loaded = load_history(tmp_path)
    assert loaded.config == tower.config
    for (path, before), (_, after) in zip(
        nnx.to_flat_state(nnx.state(tower)), nnx.to_flat_state(nnx.state(loaded)), strict=True
    ):
        np.testing.assert_array_equal(before[...], after[...], err_msg=str(path))


def test_damaged_files_are_named(tmp_path):
    save_history(random_tower(), tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, "items": 5}))
    with pytest.raises(WeightsError, match="item_residual has shape"):
        load_history(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, "colour": 5}))
    with pytest.raises(InputError, match=r"config.json describes no user tower: .*colour"):
        load_history(tmp_path)


@pytest.mark.parametrize(
    "values", [{"items": -1}, {"half_lives_days": ()}, {"half_lives_days": (0.0,)}, {"hidden": 0}]
)
def test_impossible_sizes_are_refused(values):
    with pytest.raises(InputError, match=f"history: {next(iter(values))}"):
        HistoryConfig(**{"items": 4, **values})
