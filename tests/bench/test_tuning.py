from itertools import pairwise

import numpy as np
import pytest

from bench.index.tuning import Effort, OpenIndex, answers, cheapest, found_share, ladder

QUESTIONS = [(np.float32(number),) for number in range(4)]
EXACT = np.tile(np.arange(10), (4, 1))


class Clock:
    """A clock that only searches advance."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def choose(target, seconds, found, rescored=(1.0,)):
    """Return the effort for an index whose time and number of found rows depend on the effort."""
    clock = Clock()

    def configure(effort):
        def search(query):
            clock.seconds += seconds(effort)
            return np.arange(found(effort))

        return search

    index = OpenIndex(configure, (1, 2, 4, 8), 0, rescored)
    return cheapest(index, QUESTIONS, EXACT, target, clock)


def test_recall_counts_missing_rows_as_not_found():
    exact = [np.array([1, 2, 3]), np.array([4, -1, -1])]
    assert found_share(exact, [np.array([3, 1, -1]), np.array([-1, 4, 9])]) == 3 / 4


def test_answers_are_padded_and_timed_one_by_one():
    ticks = iter([0.0, 1.0, 1.0, 3.0])
    seconds, rows = answers(lambda _: np.array([7]), QUESTIONS[:2], 2, lambda: next(ticks))
    assert seconds.tolist() == [1.0, 2.0]
    assert rows.tolist() == [[7, -1], [7, -1]]


def test_the_fewest_visits_that_reach_the_target_are_chosen():
    linear = (lambda effort: effort.visits, lambda effort: min(10, 2 * effort.visits))
    assert choose(0.8, *linear) == Effort(4)
    assert choose(0.81, *linear) == Effort(8)


def test_the_fastest_mix_of_visits_and_rescored_candidates_is_chosen():
    effort = choose(
        0.9,
        lambda effort: 3 * effort.visits + effort.rescored,
        lambda effort: 10 if effort.visits * effort.rescored >= 8 else 5,
        rescored=(1.0, 2.0, 4.0, 8.0),
    )
    # The times of the four mixes that reach the target: 3·8 + 1, 3·4 + 2, 3·2 + 4, 3·1 + 8.
    assert effort == Effort(2, 4.0)


def test_the_greatest_effort_is_chosen_if_none_reaches_the_target():
    assert choose(0.9, lambda _: 1.0, lambda _: 5, rescored=(1.0, 3.0)) == Effort(8, 3.0)


@pytest.mark.parametrize(("most", "least"), [(256, 1), (2048, 10), (1, 1)])
def test_a_ladder_grows_by_a_tenth_from_the_least_to_the_most(most, least):
    steps = ladder(most, least)
    assert steps[0] == least
    assert steps[-1] == most
    assert all(b - a <= max(1, 0.16 * a) for a, b in pairwise(steps))


@pytest.mark.parametrize(
    ("effort", "text"),
    [
        (Effort(8), "8 visited"),
        (Effort(8, 2.5), "8 visited, 2.5 rescored per result"),
        (Effort(0, 4.0), "4 rescored per result"),
        (Effort(0), "no setting"),
    ],
)
def test_an_effort_names_its_settings(effort, text):
    assert str(effort) == text
