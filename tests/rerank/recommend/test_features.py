"""Features of candidates: values by hand, and no value that reads its own outcome."""

from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

from base.errors import InputError
from behaviour.models.popularity import Popularity
from rerank.recommend.features import Candidates, candidate_features, feature_names
from rerank.recommend.ranker import Network, Ranker, RankerConfig, load_ranker, save_ranker
from tests.behaviour.models.histories import day, interactions

SHOP = interactions([[(0, [0]), (8, [0, 1])], [(6, [2])]])
NOW = day(10)
CHANNELS = ("also_bought",)
PRICES = np.array([1, np.e, 4, np.nan], np.float32)


def candidates(events=SHOP):
    rows = np.array([[0, 2, 3], [1, 0, -1]], np.int32)
    return Candidates(
        SHOP,
        NOW,
        rows,
        np.arange(6, dtype=np.float32).reshape(2, 3, 1),
        np.ones((2, 3), np.float32),
        Popularity.fit(events, NOW, 7.0, windows_days=(7.0, 28.0)),
        PRICES,
    )


def named(given):
    matrix = candidate_features(given)
    return dict(zip(feature_names(CHANNELS, (7.0, 28.0)), np.moveaxis(matrix, -1, 0), strict=True))


def test_features_of_item_user_and_moment():
    features = named(candidates())
    first = {name: float(values[0, 0]) for name, values in features.items()}
    expected = {
        "also_bought": 0,
        "recall": 1,
        "sold_7_days": np.log1p(1),
        "sold_28_days": np.log1p(2),
        "trend": np.log1p(1) - np.log1p(0.5),
        "days_since_first_sold": np.log1p(10),
        "days_since_last_sold": np.log1p(2),
        "price": 0,
        "price_against_history": 0 - 1 / 3,
        "own_count": np.log1p(2),
        "days_since_own": np.log1p(2),
        "history_events": np.log1p(3),
        "history_sessions": np.log1p(2),
        "days_since_history": np.log1p(2),
        "history_price": 1 / 3,
    }
    assert first == pytest.approx(expected, rel=1e-5)
    assert features["days_since_last_sold"][0, 2] == pytest.approx(np.log1p(999))
    assert np.isnan(features["price"][0, 2])
    assert all(np.isnan(values[1, 2]) for values in features.values())


def test_features_do_not_change_with_later_events():
    later = interactions([[(0, [0]), (8, [0, 1]), (11, [0, 2, 3])], [(6, [2]), (10, [0])]])
    np.testing.assert_array_equal(
        candidate_features(candidates(later)), candidate_features(candidates())
    )


def test_a_feature_of_a_candidate_does_not_depend_on_other_candidates():
    alone = candidates()
    alone = replace(
        alone,
        rows=alone.rows[:, :1],
        channel_scores=alone.channel_scores[:, :1],
        recall_scores=alone.recall_scores[:, :1],
    )
    np.testing.assert_array_equal(
        candidate_features(alone)[:, 0], candidate_features(candidates())[:, 0]
    )


def ranker():
    names = feature_names(CHANNELS, (7.0, 28.0))
    matrix = candidate_features(candidates()).reshape(-1, len(names))
    network = Network(len(names), 4, rngs=nnx.Rngs(0))
    network.linear.kernel[...] = np.linspace(-1, 1, len(names), dtype=np.float32)[:, None]
    return Ranker(RankerConfig.of(names, matrix, 4), network)


def test_inputs_are_standardised_and_a_missing_value_is_0():
    config = RankerConfig(("a", "b"), (1.0, 0.0), (2.0, 1.0))
    matrix = np.array([[5, np.nan], [99, -7]], np.float32)
    assert config.standardise(matrix).tolist() == [[2, 0], [5, -5]]


def test_a_ranker_is_saved_and_loaded(tmp_path):
    made, features = ranker(), candidate_features(candidates())
    save_ranker(made, tmp_path)
    loaded = load_ranker(tmp_path, made.config.features)
    assert loaded.config == made.config
    np.testing.assert_array_equal(loaded.scores(features), made.scores(features))
    with pytest.raises(InputError, match="reads other features"):
        load_ranker(tmp_path, tuple(reversed(made.config.features)))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read"):
        load_ranker(tmp_path, made.config.features)
