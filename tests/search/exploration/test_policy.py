"""Exploration: which positions explore, and the probabilities of the choices."""

from collections import Counter

import numpy as np
import pytest

from search.exploration.policy import block_size, explore

WEIGHTS = np.array([1.0, 0.0, 2.0, 3.0, 0.0, 1.0, 0.5])


def test_one_position_of_each_block_swaps_its_item_with_a_later_one():
    for seed in range(50):
        explored = explore(np.ones(60), 0.1, np.random.default_rng(seed), 40)
        assert len(set(explored.order.tolist())) == 40
        assert explored.exploring.reshape(4, 10).sum(axis=1).tolist() == [1, 1, 1, 1]
        moved = np.flatnonzero(explored.order != np.arange(40))
        assert len(moved) <= 8
        first = explored.exploring.argmax()
        assert explored.order[first] > first


def test_a_share_that_is_no_fraction_of_1_explores_less_often():
    explored = explore(np.ones(100), 0.3, np.random.default_rng(0), 8)
    assert explored.exploring.reshape(2, 4).sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("share", [1e-17, 1e-300, 5e-324])
def test_the_smallest_shares_explore_almost_never(share):
    explored = explore(np.ones(30), share, np.random.default_rng(0), 10)
    assert explored.order.tolist() == list(range(30))
    assert not explored.exploring.any()
    assert explored.propensity[0] == pytest.approx(1.0)


def test_a_block_has_at_most_one_position_of_the_share():
    assert [block_size(share) for share in (1.0, 0.5, 0.3, 0.1)] == [1, 2, 4, 10]


@pytest.mark.parametrize("share", [1 / 3, 0.5, 1.0])
def test_the_probabilities_are_those_of_simulated_lists(share):
    block, draws = round(1 / share), 5_000
    rng = np.random.default_rng(7)
    shown = Counter[tuple[int, int]]()
    propensity: dict[tuple[int, int], float] = {}
    for _ in range(draws):
        explored = explore(WEIGHTS, share, rng, block)
        for cell, chance in zip(
            enumerate(explored.order.tolist()), explored.propensity, strict=True
        ):
            shown[cell] += 1
            assert propensity.setdefault(cell, chance) == pytest.approx(chance)
    for cell, chance in propensity.items():
        assert shown[cell] / draws == pytest.approx(chance, abs=5 * np.sqrt(0.25 / draws))
    for position in range(block):
        of_items = (chance for (at, _), chance in propensity.items() if at == position)
        assert sum(of_items) == pytest.approx(1.0)


def test_the_probabilities_of_a_small_list_are_those_on_paper():
    # Two positions, and two further items. Each position explores with probability 1/2. The first
    # draws item 2, 3 or 4 then, the second item 3 or 4.
    found: dict[tuple[int, int], float] = {}
    for seed in range(100):
        explored = explore(np.ones(4), 0.5, np.random.default_rng(seed), 2)
        found |= zip(enumerate(explored.order.tolist()), explored.propensity.tolist(), strict=True)
    expected = {(0, 0): 1 / 2, (0, 1): 1 / 6, (0, 2): 1 / 6, (0, 3): 1 / 6}
    expected |= {(1, 1): 1 / 3, (1, 0): 1 / 6, (1, 2): 1 / 4, (1, 3): 1 / 4}
    assert found == pytest.approx(expected)


def test_without_items_to_draw_the_list_stays():
    explored = explore(np.array([1.0, 0.0, 0.0]), 0.5, np.random.default_rng(0), 10)
    assert explored.order.tolist() == [0, 1, 2]
    assert not explored.exploring.any()
    assert explored.propensity.tolist() == [1.0, 1.0, 1.0]
    assert len(explore(np.zeros(0), 0.5, np.random.default_rng(0), 10).order) == 0


def test_a_longer_list_begins_with_the_shorter_one():
    short = explore(np.ones(30), 0.2, np.random.default_rng(3), 10)
    long = explore(np.ones(30), 0.2, np.random.default_rng(3), 25)
    assert long.order[:10].tolist() == short.order.tolist()
    assert long.propensity[:10].tolist() == short.propensity.tolist()
