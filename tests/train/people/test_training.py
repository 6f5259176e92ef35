"""The user tower learns from next sessions, repeats exactly, and works with unseen items."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from base.errors import InputError
from behaviour.cases import window_case
from catalog.items import Item
from catalog.store import ItemStore
from search.channels.model_items import read_item_ids
from tests.towers.history.examples import at, bought, unit_vectors
from towers.history.blocks import ItemBlocks
from towers.history.encoder import UserEncoder
from towers.history.model import HistoryTower
from towers.history.moment import MomentFeatures
from towers.history.saving import load_history
from train.evaluation.recommend.metrics import TargetRanks, ndcg
from train.loop.fit import FitConfig, TrainingSetup
from train.loop.parameters import make_mesh
from train.people.action_batches import BatchConfig
from train.people.dataset import People
from train.people.next_actions import NextActionsConfig
from train.people.peer import UserTowerPeer
from train.people.residuals import ResidualConfig
from train.people.training import PeopleConfig, build_user_tower, is_better, train_people
from train.recommend.windows import Catalogue

pytestmark = pytest.mark.usefixtures("compilation_cache")

ITEMS, USERS, DAYS = 40, 60, 60
CONFIG = PeopleConfig(
    residual_dim=8,
    moment_dim=2,
    dev_days=10,
    batches=BatchConfig(max_events=16),
    actions=NextActionsConfig(
        horizon_days=10, first_days=5, moments=2, examples=16, steps=30, completions=0.25
    ),
    residuals=ResidualConfig(penalty=5.0),
)
FIT = FitConfig(head_learning_rate=2e-2, evaluations=3, checkpoint_every=1_000)
TEXT = unit_vectors(ITEMS, 16)
STORE = ItemStore.of([Item(f"i{number}", f"Item {number}") for number in range(ITEMS)])
NO_PRICES = np.full(ITEMS, np.nan, np.float32)


@pytest.fixture(scope="module")
def interactions():
    """Users of four groups; a group buys ten items of its own, and half of them one day later.

    All users also buy an item of the week: item w of a group is only bought in week w.
    """
    random = np.random.default_rng(0)
    events = []
    for user in range(USERS):
        group = 10 * (user % 4)
        for day in np.sort(random.permutation(DAYS)[:6]):
            week = group + int(day) // 7
            events += [(user, item, int(day)) for item in {week, group + random.integers(10)}]
    return bought(*events, items=ITEMS)


def setup(directory, seed=0, fitting=FIT):
    return TrainingSetup(fitting, seed, make_mesh(), directory / "state", directory / "scalars")


def trained(interactions, directory, *, seed=0, config=CONFIG, contexts=()):
    moments = MomentFeatures.of(interactions, TEXT, NO_PRICES)
    given = setup(directory, seed)
    return train_people(TEXT, moments, interactions, config, given, contexts)


def scores(tower, interactions, day, histories):
    moments = MomentFeatures.of(interactions, TEXT, NO_PRICES)
    return UserEncoder(tower, TEXT, moments).scores(histories, at(day))


@pytest.fixture(scope="module")
def result(interactions, tmp_path_factory):
    return trained(interactions, tmp_path_factory.mktemp("people"))


@pytest.mark.slow
def test_with_few_returning_users_there_is_no_tower(interactions, tmp_path):
    people, out = People(interactions, [{}] * USERS), tmp_path / "out"
    out.mkdir()
    returning = people.returning
    assert returning == USERS
    config = replace(CONFIG, min_users=returning + 1)
    few = build_user_tower(out, TEXT, STORE, people, config, setup(tmp_path))
    none = build_user_tower(out, TEXT, STORE, None, config, setup(tmp_path))
    line = "user tower: not trained (60 users with two sessions, and --people.min-users is 61)"
    assert few == {"users": 60, "tower": "none", "guard": {"taken": False, "line": line}}
    assert none == {"users": 0, "tower": "none"}
    assert list(out.iterdir()) == []
    config = replace(CONFIG, min_users=returning, dev_days=0)
    config = replace(config, actions=replace(config.actions, steps=1))
    enough = build_user_tower(out, TEXT, STORE, people, config, setup(tmp_path))
    assert enough["users"] == returning
    config = load_history(out).config
    assert (config.items, config.read_types) == (0, ("purchase",))
    assert len(ItemBlocks.open(out, config, ITEMS).own) == ITEMS
    assert read_item_ids(out) == list(STORE.ids)


@pytest.mark.slow
def test_without_a_next_session_to_measure_on_no_tower_is_written(tmp_path):
    late = bought(
        *((user, item, day) for user in range(9) for item, day in ((0, 55), (1, 59))), items=ITEMS
    )
    out = tmp_path / "out"
    out.mkdir()
    config = replace(CONFIG, min_users=1)
    report = build_user_tower(out, TEXT, STORE, People(late, [{}] * 9), config, setup(tmp_path))
    assert report["tower"] == "none"
    assert report["guard"] == {
        "taken": False,
        "line": "user tower: left out (nDCG@20 on dev: user tower 0.000; 0 users: too few to tell)",
    }
    assert list(out.iterdir()) == []


def test_a_tower_must_be_better_than_both_starting_points():
    start = {"popular_7_days": 0.1, "mean_text": 0.2}
    assert is_better({"best": 0.21, "start": start, "dev_users": 30})
    assert not is_better({"best": 0.21, "start": start, "dev_users": 29})
    assert not is_better({"best": 0.2, "start": start, "dev_users": 30})
    assert not is_better({"best": 0.15, "start": start, "dev_users": 30})
    assert not is_better({"best": None, "start": {}, "dev_users": 0})


def test_training_improves_the_dev_metric(result, interactions, tmp_path):
    _, report = result
    still = replace(FIT, head_learning_rate=0.0)
    moments = MomentFeatures.of(interactions, TEXT, NO_PRICES)
    _, start = train_people(TEXT, moments, interactions, CONFIG, setup(tmp_path, fitting=still))
    assert report["best_step"] > 0
    assert report["best"] > start["best"] + 0.02


def test_the_tower_prefers_items_of_the_group(result, interactions):
    tower, _ = result
    histories = interactions.before(at(50))
    ranked = np.argsort(-scores(tower, interactions, 50, histories), axis=1)[:, :5]
    groups = np.arange(USERS) % 4
    own = (ranked // 10 == groups[:, None]).mean(axis=1)
    assert own[np.diff(histories.starts) > 2].mean() > 0.9


@pytest.mark.slow
def test_equal_seeds_give_equal_towers_and_other_seeds_others(result, interactions, tmp_path):
    def leaves(tower: HistoryTower):
        return jax.tree.leaves(nnx.state(tower))

    again, _ = trained(interactions, tmp_path / "a")
    for one, other in zip(leaves(result[0]), leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    other, _ = trained(interactions, tmp_path / "b", seed=1)
    assert any((one != two).any() for one, two in zip(leaves(again), leaves(other), strict=True))


def test_every_parameter_moves_but_the_residuals_and_context_is_learned(interactions, tmp_path):
    contexts = [{"group": str(user % 4)} for user in range(USERS)]
    fresh, _ = trained(
        interactions,
        tmp_path / "fresh",
        config=replace(CONFIG, actions=replace(CONFIG.actions, steps=1), dev_days=0),
    )
    tower, _ = trained(interactions, tmp_path / "with", contexts=contexts)
    for (path, before), (_, after) in zip(
        nnx.to_flat_state(nnx.state(fresh)), nnx.to_flat_state(nnx.state(tower)), strict=True
    ):
        moved = bool((before[...] != after[...]).any())
        assert moved == (path[0] not in ("item_residual", "event_residual")), path


def test_the_last_days_choose_the_steps_that_a_tower_of_all_events_trains_for(
    result, interactions, tmp_path
):
    tower, report = result
    actions = replace(CONFIG.actions, steps=report["best_step"])
    config = replace(CONFIG, dev_days=0, actions=actions)
    without_dev, _ = trained(interactions, tmp_path, config=config)
    for one, other in zip(
        jax.tree.leaves(nnx.state(tower)), jax.tree.leaves(nnx.state(without_dev)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_without_a_second_session_the_tower_is_untrained(tmp_path):
    alone = bought(*((user, user % ITEMS, 1) for user in range(50)), items=ITEMS)
    tower, report = trained(alone, tmp_path)
    assert report["best"] is None
    assert np.isfinite(scores(tower, alone, 2, alone)).all()


def test_an_item_that_never_sold_is_found_by_its_text(interactions, tmp_path):
    text = TEXT.copy()
    text[39] = text[38]  # a copy of an item of group 3
    rest = interactions.select(interactions.item != 39)
    given = setup(tmp_path)
    moments = MomentFeatures.of(rest, text, NO_PRICES)
    tower, _ = train_people(text, moments, rest, CONFIG, given)
    encoder = UserEncoder(tower, text, moments)
    histories = rest.select(rest.item == 38)
    of_buyers = encoder.scores(histories, at(60))[np.diff(histories.starts) > 0]
    unsold = of_buyers[:, 39]
    assert (unsold > np.median(of_buyers, axis=1)).mean() > 0.9


def test_the_user_tower_is_a_system_of_an_evaluation_and_reads_only_the_past(interactions):
    peer = UserTowerPeer(Catalogue(NO_PRICES, TEXT), CONFIG, FIT)
    case = window_case(interactions, at(45), 10, first_basket=True, new_items=True)
    scores = peer(case, None, None, 0)["user_tower"](case)
    assert scores.shape == (case.histories.users, ITEMS)
    ranks = TargetRanks.of(case.masked(scores), case.targets)
    shuffled = TargetRanks.of(case.masked(scores[:, ::-1].copy()), case.targets)
    assert np.nanmean(ndcg(ranks, 5)) > 2 * np.nanmean(ndcg(shuffled, 5))
    assert peer(case, None, None, 0)["user_tower"](case).tolist() == scores.tolist()
    assert list(peer.trained) == [(at(45), 0)]
    without_text = UserTowerPeer(Catalogue(NO_PRICES), CONFIG, FIT)
    with pytest.raises(InputError, match="--user-tower needs text vectors"):
        without_text(case, None, None, 0)
