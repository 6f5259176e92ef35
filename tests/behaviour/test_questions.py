"""Preference questions: the information of answers, and which items are asked about."""

from itertools import product

import numpy as np
import pytest

from behaviour.questions import _NOISE, MAX_QUESTIONS, choose_questions

# Two clusters of three items, of which one has twice the events.
SHARES = np.array([2.0, 1, 1, 1, 0.5, 0.5])
CLUSTERS = np.kron(np.eye(2), np.full((3, 3), 0.9)) + 0.1 * np.eye(6)


def information(shares, affinity, items) -> float:
    """Return the mutual information of taste and answers, summed over all of their values."""
    prior = shares / shares.sum()
    yes = _NOISE + (1 - 2 * _NOISE) * affinity[:, items]
    joint = np.array(
        [
            prior * np.prod(np.where(answers, yes, 1 - yes), axis=1)
            for answers in product([True, False], repeat=len(items))
        ]
    )
    independent = joint.sum(1, keepdims=True) * prior
    return float((joint * np.log2(joint / independent)).sum())


def test_each_choice_adds_the_most_information():
    chosen = choose_questions(SHARES, CLUSTERS, 4)
    items = [item for item, _ in chosen]
    for number in range(1, 5):
        before, best = items[: number - 1], items[:number]
        values = [
            information(SHARES, CLUSTERS, [*before, item])
            for item in range(6)
            if item not in before
        ]
        assert information(SHARES, CLUSTERS, best) == pytest.approx(max(values))
        added = sum(gain for _, gain in chosen[:number])
        assert added == pytest.approx(information(SHARES, CLUSTERS, best))


def test_questions_are_about_different_clusters_and_always_the_same():
    far_apart = np.kron(np.eye(4), np.ones((5, 5)))
    shares = np.ones(20)
    chosen = choose_questions(shares, far_apart, 3)
    assert [item for item, _ in chosen] == [0, 5, 10]
    assert choose_questions(shares, far_apart, 3) == chosen


def test_answers_that_say_nothing_are_not_asked_for():
    everybody_likes_all = np.ones((4, 4))
    assert choose_questions(np.ones(4), everybody_likes_all, 3) == []
    assert len(choose_questions(np.ones(30), np.eye(30), 99)) == MAX_QUESTIONS
