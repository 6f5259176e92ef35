"""Cases of an evaluation: what models may read, what is right, and what is excluded."""

import numpy as np
import pytest

from behaviour.cases import (
    cold_item_case,
    cold_user_cases,
    leave_one_out_case,
    window_case,
    withheld_items,
)
from tests.behaviour.models.histories import day, interactions

# User 0 has a history; user 1 is new in the window; user 2 has a history and no window.
SHOP = interactions(
    [
        [(0, [0]), (10, [0, 1]), (12, [2]), (45, [3])],
        [(11, [0, 1, 2, 3]), (13, [0])],
        [(1, [1])],
    ]
)


def test_models_read_only_events_before_the_cut():
    case = window_case(SHOP, day(10), 30, first_basket=False, new_items=False)
    assert case.past.time.max() < day(10)
    assert case.histories.user_ids == ("u0",)
    assert case.histories.time.tolist() == [day(0)]


@pytest.mark.parametrize(
    ("first_basket", "new_items", "right"),
    [
        (True, False, [1, 1, 0, 0]),
        (True, True, [0, 1, 0, 0]),
        (False, False, [1, 1, 1, 0]),
        (False, True, [0, 1, 1, 0]),
    ],
)
def test_targets_of_a_window(first_basket, new_items, right):
    case = window_case(SHOP, day(10), 30, first_basket=first_basket, new_items=new_items)
    assert case.targets.toarray().tolist() == [right]
    scores = case.masked(np.ones((1, 4), np.float32))
    assert np.isneginf(scores)[0].tolist() == [new_items, False, False, False]


def test_withheld_items_are_unknown_to_models_and_are_the_only_targets():
    case = window_case(SHOP, day(10), 30, first_basket=False, new_items=True)
    cold = cold_item_case(case, np.array([True, True, False, False]))
    assert cold.past.item.tolist() == []
    assert len(cold.histories) == 0
    assert cold.targets.toarray().tolist() == [[0, 1, 0, 0]]


def test_items_are_withheld_by_a_hash_of_their_id():
    ids = [f"item-{number}" for number in range(2_000)]
    withheld = withheld_items(ids, 0.1)
    assert withheld.mean() == pytest.approx(0.1, abs=0.02)
    assert (withheld_items(ids[::-1], 0.1)[::-1] == withheld).all()


def test_new_users_have_the_same_targets_whatever_is_shown():
    cases = cold_user_cases(SHOP, day(10), 30, (0, 1, 2), seed=3)
    assert [case.histories.user_ids for case in cases] == [("u1",)] * 3
    shown = [set(case.histories.item.tolist()) for case in cases]
    assert [len(items) for items in shown] == [0, 1, 2]
    assert shown[1] < shown[2]
    for case in cases:
        right = case.targets.toarray()[0]
        assert right.sum() == 2
        assert not right[list(shown[2])].any()
        assert (case.targets != cases[0].targets).nnz == 0


def test_leave_one_out_hides_the_event_and_all_later_ones():
    sequences = interactions([[(0, [0]), (1, [1]), (2, [2])], [(0, [3]), (1, [0]), (2, [1])]])
    last, before = leave_one_out_case(sequences, 0), leave_one_out_case(sequences, 1)
    assert last.targets.toarray().tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]
    assert last.past.item.tolist() == [0, 1, 3, 0]
    assert before.targets.toarray().tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert before.past.item.tolist() == [0, 3]
    assert np.isneginf(before.masked(np.ones((2, 4), np.float32))).nonzero()[1].tolist() == [0, 3]


def test_a_case_of_some_users_keeps_their_targets():
    case = leave_one_out_case(SHOP, 0).of_users(np.array([2, 1]))
    assert case.histories.user_ids == ("u2", "u1")
    assert case.targets.toarray().tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]
