"""The weight of events beside judgments is chosen on `dev`."""

from dataclasses import replace

import numpy as np
import pytest

from train.data.relevance import Relevance
from train.pipeline.event_weight import UNSURE_WEIGHT, best_event_weight, choose_event_weight


def pairs(prefix: str, train: int, dev: int) -> Relevance:
    """Return one relevant pair for each query."""
    count = train + dev
    return Relevance(
        queries=tuple(f"{prefix} {number}" for number in range(count)),
        splits=("train",) * train + ("dev",) * dev,
        query=np.arange(count, dtype=np.int32),
        item=np.arange(count, dtype=np.int32),
        grade=np.full(count, 2, np.float32),
        grade_min=0.0,
        relevant_from=1.0,
    )


JUDGED, CLICKED = pairs("judged", 60, 40), pairs("clicked", 80, 5)


def no_trial(weight, relevance):
    raise AssertionError("no comparison is needed")


def choose(judged, clicked, trial=no_trial, *, trial_pairs=30, fixed=None) -> dict:
    return choose_event_weight(judged, clicked, trial, pairs=trial_pairs, fixed=fixed, seed=0)


def test_trials_share_their_dev_queries_and_train_on_a_share_of_both_kinds_of_pairs():
    shown = {}

    def trial(weight, relevance):
        shown[weight] = relevance
        return np.full(40, weight)

    report = choose(JUDGED, CLICKED, trial)
    assert report["weight"] == 1.0
    assert report["line"].startswith("events: weight 1 beside judgments (nDCG@10 on dev +1.000")
    for relevance in shown.values():
        assert relevance.only("dev").queries == JUDGED.only("dev").queries
    alone, both = (shown[weight].only("train") for weight in (0.0, 0.3))
    assert 15 < len(alone.queries) < 45  # about 30 of 60 pairs
    assert all(text.startswith("judged") for text in alone.queries)
    assert set(alone.queries) < set(both.queries)
    clicked = np.array([text.startswith("clicked") for text in both.queries])
    assert 25 < clicked.sum() < 55
    np.testing.assert_allclose(both.weight, np.where(clicked[both.query], 0.3, 1.0))


def test_events_that_are_not_surely_better_are_left_out():
    noise = np.random.default_rng(0).normal(0.01, 0.3, 40)
    base = np.full(40, 0.5)
    assert best_event_weight({0.0: base, 0.3: base + noise, 1.0: base - 0.1})[0] == 0.0
    assert best_event_weight({0.0: base, 0.3: base + 0.1, 1.0: base})[0] == 0.3
    few = np.full(29, 0.5)
    assert best_event_weight({0.0: few, 0.3: few + 0.1, 1.0: few})[0] == 0.0


@pytest.mark.parametrize(
    ("judged", "clicked", "fixed", "weight"),
    [
        (pairs("judged", 60, 10), CLICKED, None, UNSURE_WEIGHT),  # 15 dev queries are too few
        (replace(JUDGED, relevant_from=9.0), CLICKED, None, 1.0),  # no judged item is relevant
        (JUDGED, CLICKED, 0.7, 0.7),
        (JUDGED, CLICKED, 0.0, 0.0),
    ],
)
def test_without_a_comparison_the_weight_follows_the_data_and_the_options(
    judged, clicked, fixed, weight
):
    report = choose(judged, clicked, fixed=fixed)
    assert report["weight"] == weight
    assert report["line"].startswith("events: ")


def test_without_events_or_judgments_there_is_no_weight():
    assert choose(None, CLICKED) == choose(JUDGED, None) == {}
