"""Exploration on a small demo shop: the same measurements as the command, in seconds."""

import pytest

from bench.quality.exploration.finding import find
from bench.quality.exploration.off_policy import coverage
from bench.quality.exploration.shop import DemoSearches
from search.exploration.request import Method


@pytest.fixture(scope="module")
def demo() -> DemoSearches:
    return DemoSearches.make(0, queries=5, users=30)


def test_most_intervals_of_off_policy_estimates_have_the_true_value(demo):
    result = coverage(demo, runs=10, searches=1_000, share=0.5)
    assert result.truth != pytest.approx(result.logged, rel=0.01)
    assert min(result.covered.values()) >= 8


def test_thompson_sampling_finds_new_items_in_half_the_impressions_and_costs_nothing(demo):
    plain, explored = (
        find(demo, method, searches=2_500, share=0.02, seed=0)
        for method in (None, Method.THOMPSON_SAMPLING)
    )
    assert plain.found <= 0.5
    assert explored.found >= 0.8
    assert explored.impressions.mean() <= 0.5 * plain.impressions.mean()
    assert explored.purchases >= plain.purchases
