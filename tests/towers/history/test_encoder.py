"""User vectors: any part of a request may be absent; older events count less; files round-trip."""

import json

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
from towers.history.encoder import HistoryEvent, UserEncoder, UserRequest, context_rows
from towers.history.model import HistoryConfig, HistoryTower
from towers.history.moment import MomentFeatures
from towers.history.saving import load_history, save_history

EVENTS = ((0, 0, 1), (0, 1, 5), (1, 2, 5), (1, 0, 8))
TEXT, RESIDUAL = slice(0, 8), slice(8, 11)
QUERY = unit_vectors(1, seed=9)[0]
NOW = at(10)


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(bought(*EVENTS))


def event(item, day=5):
    return HistoryEvent(item, PURCHASE, at(day))


def test_a_score_is_the_inner_product_of_user_and_item_vectors(encoder):
    histories = bought(*EVENTS)
    vectors = encoder.encode(encoder.histories(histories), NOW)
    assert vectors.shape == (2, 8 + 3 + 2 + 1)
    items = encoder.item_vectors(NOW)
    np.testing.assert_array_equal(items[:, TEXT], unit_vectors())
    np.testing.assert_allclose(encoder.scores(histories, NOW), vectors @ items.T, rtol=1e-6)


def test_only_the_last_columns_of_items_depend_on_the_time(encoder):
    early, late = encoder.item_vectors(at(6)), encoder.item_vectors(NOW)
    np.testing.assert_array_equal(early[:, :11], late[:, :11])
    assert (early[:, 11:] != late[:, 11:]).any()


def test_the_moment_block_is_kept_for_the_refresh_time():
    encoder = random_encoder(bought(*EVENTS))
    first = encoder.moment_block(NOW)
    assert encoder.moment_block(NOW + 59) is first
    assert encoder.moment_block(NOW + 60) is not first
    assert encoder.moment_block(NOW) is not first  # an earlier time must not see later events


def test_without_a_history_and_a_query_only_the_moment_counts(encoder):
    vector = encoder.encode([UserRequest()], NOW)[0]
    assert not vector[:11].any()
    assert vector[-1] > 0


@pytest.mark.parametrize(
    "request_",
    [
        UserRequest(events=[event(0)]),
        UserRequest(query=QUERY),
        UserRequest(events=[event(0)], query=QUERY),
        UserRequest(context={"country": "France"}),
    ],
)
def test_each_part_of_a_request_changes_the_vector(encoder, request_):
    vector = encoder.encode([request_], NOW)[0]
    assert np.abs(vector - encoder.encode([UserRequest()], NOW)[0]).max() > 1e-3


def test_a_query_alone_is_its_direction_in_the_text_block(encoder):
    vector = encoder.encode([UserRequest(query=QUERY)], NOW)[0]
    norm = np.linalg.norm(vector[TEXT])
    np.testing.assert_allclose(vector[TEXT] / norm, QUERY, atol=1e-5)
    assert not vector[RESIDUAL].any()


def test_an_item_without_a_row_counts_by_its_text(encoder):
    vector = encoder.encode([UserRequest(events=[event(QUERY)])], NOW)[0]
    norm = np.linalg.norm(vector[TEXT])
    np.testing.assert_allclose(vector[TEXT] / norm, QUERY, atol=1e-5)
    assert not vector[RESIDUAL].any()


def test_an_older_event_counts_less(encoder):
    tower = HistoryTower(encoder._config, rngs=nnx.Rngs(0))
    text = unit_vectors()
    fresh = UserEncoder(tower, text, MomentFeatures.of(bought(*EVENTS), text, np.ones(4, "f4")))
    vector = fresh.encode([UserRequest(events=[event(0, day=-90), event(1, day=9)])], NOW)[0]
    assert vector[TEXT] @ text[1] > vector[TEXT] @ text[0]


def test_a_vector_depends_neither_on_padding_nor_on_other_requests(encoder):
    request = UserRequest(events=[event(0), event(1)], query=QUERY, context={"a": "b"})
    long = UserRequest(events=[event(2)] * 40, context={"a": "b", "c": "d"})
    alone = encoder.encode([request], NOW)[0]
    for batch in ([request, long], [long, request] * 40):
        vectors = encoder.encode(batch, NOW)
        np.testing.assert_allclose(vectors[batch.index(request)], alone, atol=1e-5)


def test_no_requests_give_no_vectors(encoder):
    assert encoder.encode([], NOW).shape == (0, 14)


def test_only_the_newest_events_count(encoder):
    newest = [event(1)] * 256
    vectors = encoder.encode([UserRequest([event(0)] * 9 + newest), UserRequest(newest)], NOW)
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


def test_every_parameter_has_a_gradient(encoder):
    tower = random_tower()
    batch = encoder._padded([UserRequest([event(0)], QUERY, {"a": "b"})], 16, NOW)
    graph, state = nnx.split(tower)
    features = jnp.asarray(encoder._moments.features(NOW, np.arange(4)))

    def total(state):
        tower = nnx.merge(graph, state)
        block = tower.moment_block(features)
        moment = batch.moment + block[:1, None]
        residual = batch.residual + tower.event_residual[...][:1, None]
        user = tower(batch._replace(moment=moment, residual=residual))[0]
        return (user[8:11] @ tower.item_residual[...][1]) + user[11:] @ block[1] + user[:8].sum()

    for path, gradient in nnx.to_flat_state(jax.grad(total)(state)):
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
    "values", [{"items": 0}, {"half_lives_days": ()}, {"half_lives_days": (0.0,)}, {"hidden": 0}]
)
def test_impossible_sizes_are_refused(values):
    with pytest.raises(InputError, match=f"history: {next(iter(values))}"):
        HistoryConfig(**{"items": 4, **values})
