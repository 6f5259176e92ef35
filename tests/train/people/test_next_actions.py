"""Examples of next sessions: what a moment may see, what it predicts, and which are drawn."""

from dataclasses import replace

import numpy as np
import pytest

from base.errors import InputError
from tests.towers.history.examples import bought, unit_vectors
from towers.history.moment import MomentFeatures
from train.people.action_batches import ActionLoader, BatchConfig
from train.people.next_actions import (
    COMPLETION,
    DAY,
    SESSION,
    NextActionsConfig,
    Sessions,
    example,
    target_weights,
)

# User 0 buys on days 0, 10 and 50, user 1 on day 10 only.
EVENTS = ((0, 0, 0), (0, 1, 10), (0, 2, 10), (0, 0, 50), (0, 3, 50), (1, 3, 10), (1, 2, 10))
CONFIG = NextActionsConfig(
    horizon_days=5,
    first_days=0,
    moments=2,
    examples=4,
    steps=20,
    completions=0.5,
    shown=1,
    new_users=0.0,
)
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def sessions():
    return Sessions.of(bought(*EVENTS))


def items(sessions, events):
    return sessions.item[events].tolist()


def test_sessions_are_in_the_order_of_users_and_time(sessions):
    assert sessions.day.tolist() == [0, 10, 50, 10]
    assert sessions.previous.tolist() == [-1, 0, 10, -1]
    assert sessions.user.tolist() == [0, 0, 0, 1]
    assert np.diff(sessions.first).tolist() == [1, 2, 2, 2]


def test_a_next_session_is_predicted_from_the_sessions_before_it(sessions):
    drawn = example(sessions, np.array([1, 8, 0]), CONFIG, RANDOM)
    assert items(sessions, drawn.history) == [0]
    assert items(sessions, drawn.targets) == [1, 2]


def test_a_completion_splits_the_session(sessions):
    drawn = [example(sessions, np.array([2, 50, 1]), CONFIG, RANDOM) for _ in range(20)]
    for one in drawn:
        shown = items(sessions, one.history)[3:]
        assert items(sessions, one.history)[:3] == [0, 1, 2]
        assert sorted(shown + items(sessions, one.targets)) == [0, 3]
    assert {len(one.targets) for one in drawn} == {1, 2}


def test_a_share_of_completions_hides_the_earlier_sessions(sessions):
    config = replace(CONFIG, new_users=0.5)
    drawn = [example(sessions, np.array([2, 50, 1]), config, RANDOM) for _ in range(40)]
    assert {len(one.history) + len(one.targets) for one in drawn} == {2, 5}
    assert len(example(sessions, np.array([2, 50, 0]), config, RANDOM).history) == 3


def test_moments_lie_between_the_previous_session_and_the_next_one(sessions):
    rows = np.concatenate(sessions.plan(CONFIG, seed=0))
    gaps = sessions.day[rows[:, SESSION]] - rows[:, DAY]
    assert set(gaps) == set(range(CONFIG.horizon_days))
    assert (sessions.previous[rows[:, SESSION]] < rows[:, DAY]).all()


def test_only_completions_have_users_without_a_history(sessions):
    rows = np.concatenate(sessions.plan(CONFIG, seed=0))
    assert set(rows[rows[:, COMPLETION] == 0, SESSION]) == {1, 2}
    assert set(rows[rows[:, COMPLETION] == 1, SESSION]) == {1, 2, 3}


def test_the_examples_of_a_moment_share_their_day(sessions):
    for rows in sessions.plan(CONFIG, seed=0):
        days = rows[:, DAY].reshape(CONFIG.moments, CONFIG.examples)
        assert (days == days[:, :1]).all()


def test_newer_moments_are_drawn_more_often(sessions):
    config = NextActionsConfig(half_life_days=20.0, first_days=0)
    plan = np.concatenate(sessions.plan(config, seed=0))
    days = plan[:, DAY]
    assert (days > 10).sum() > 2 * (days <= 10).sum()


def test_a_plan_depends_on_its_seed_alone(sessions):
    first, same, other = (np.stack(sessions.plan(CONFIG, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_targets_share_their_weight_and_own_items_do_not_count(sessions):
    drawn = [example(sessions, np.array([2, 49, 0]), CONFIG, RANDOM)]
    slot = np.arange(4)
    weights, allowed = target_weights(sessions, drawn, slot, 4, new_items=True)
    assert weights.tolist() == [[0, 0, 0, 1]]
    assert allowed.tolist() == [[False, False, False, True]]
    weights, allowed = target_weights(sessions, drawn, slot, 4, new_items=False)
    assert weights.tolist() == [[0.5, 0, 0, 0.5]]
    assert allowed.all()


def test_items_that_are_no_candidates_have_no_weight(sessions):
    drawn = [example(sessions, np.array([2, 49, 0]), CONFIG, RANDOM)]
    weights, allowed = target_weights(sessions, drawn, np.array([2, 0, 1, 2]), 2, new_items=False)
    assert weights.tolist() == [[0, 0]]
    assert allowed.shape == (1, 2)


def loader(events=EVENTS, count=4, **config):
    interactions = bought(*events, items=count)
    text = unit_vectors(count)
    moments = MomentFeatures.of(interactions, text, np.ones(count, np.float32))
    sessions, table = Sessions.of(interactions), np.array([[1], [2]], np.int32)
    return ActionLoader(sessions, text, moments, table, CONFIG, BatchConfig(**config), 0)


def batch(loader, rows=None):
    rows = np.array([[2, 49, 0]] * 8) if rows is None else rows
    return loader.load(np.zeros(len(loader.text), np.float32))(rows)


def test_inputs_do_not_depend_on_later_events():
    later = (*EVENTS[:3], (0, 1, 50), (0, 0, 50), *EVENTS[5:], (1, 0, 60))
    given, changed = batch(loader()), batch(loader(later))
    for name in ("features", "events", "types", "gap_days", "context", "text"):
        np.testing.assert_array_equal(getattr(given, name), getattr(changed, name), err_msg=name)
    assert (given.weights != changed.weights).any()


def test_a_batch_has_the_events_with_their_ages():
    given = batch(loader())
    assert given.rows[given.events[0, :3]].tolist() == [0, 1, 2]
    assert given.gap_days[0, :4].tolist() == [49, 39, 39, -1]


def test_a_batch_repeats_exactly_and_hides_items_and_contexts_at_random():
    hiding = loader(residual_dropout=0.5, cold_items=0.3, context_dropout=0.5)
    first, same = batch(hiding), batch(hiding)
    for one, other in zip(first, same, strict=True):
        np.testing.assert_array_equal(one, other)
    assert 0 < first.kept[:4].sum() < 4
    assert set(first.context[:, 0]) == {0, 1}
    shown = batch(loader(residual_dropout=0.0, cold_items=0.0, context_dropout=0.0))
    assert shown.kept.all()
    assert (shown.context == 1).all()


def test_few_candidates_are_targets_then_histories_and_have_the_share_of_steps():
    sampled = loader(count=200, candidates=64)
    assert sampled.width == 64
    plan = sampled.sessions.plan(CONFIG, 0)
    shares = sampled.log_shares(plan)
    assert shares[0] == 0  # in every history
    assert shares[100] < -0.5  # about 60 of 196 other items
    given = sampled.load(shares)(plan[0])
    assert {0, 1, 2, 3} & set(given.rows) == {0, 1, 2, 3} or len(set(given.rows)) == 64
    np.testing.assert_array_equal(given.log_share, shares[given.rows])
    assert (given.weights.sum(axis=1) > 0).any()


@pytest.mark.parametrize("events", [EVENTS[:0], EVENTS[:1], ((0, 0, 1), (1, 2, 3))])
def test_without_a_second_session_there_is_no_plan(events):
    interactions = bought(*EVENTS).select(np.zeros(len(EVENTS), bool))
    if events:
        interactions = bought(*events)
    assert Sessions.of(interactions).plan(CONFIG, 0) == []


@pytest.mark.parametrize(
    "values",
    [{"steps": 0}, {"moments": 0}, {"completions": 1.5}, {"half_life_days": 0.0}],
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(InputError, match=f"next actions: {next(iter(values))}"):
        NextActionsConfig(**values)
