"""Residuals: factors that score as EASE does, from past events only."""

import numpy as np

from behaviour.models.ease import ease_weights
from tests.towers.history.examples import at, bought
from train.people.residuals import ResidualConfig, fit_residuals

CONFIG = ResidualConfig(penalty=2.0, half_life_days=1e6)
ITEMS = 30


def interactions(seed=0, users=200):
    """Users who like one of three groups of ten items."""
    random = np.random.default_rng(seed)
    events = [
        (user, 10 * (user % 3) + item, day)
        for user in range(users)
        for day, item in enumerate(random.permutation(9)[:4])
    ]
    return bought(*events, items=ITEMS)


def fitted(events, dim=28):
    return fit_residuals(events, at(100), dim, CONFIG, seed=0)


def test_factors_score_pairs_of_items_as_ease_does():
    events = interactions()
    residuals = fitted(events)
    scores = residuals.events @ residuals.items.T
    bought = (events.matrix(strongest=True).toarray() > 0).astype(np.float32)
    weights = ease_weights(bought.T @ bought, CONFIG.penalty)
    others = ~np.eye(ITEMS, dtype=bool) & (weights != 0)
    assert np.corrcoef(scores[others], weights[others])[0, 1] > 0.99


def test_items_without_events_have_no_residual():
    residuals = fitted(interactions())
    unsold = [9, 19, 29]
    assert not residuals.events[unsold].any()
    assert not residuals.items[unsold].any()
    assert residuals.items[[0, 11, 22]].any(axis=1).all()


def test_fewer_items_than_dimensions_leave_zeros():
    residuals = fitted(interactions(), dim=40)
    assert residuals.items.shape == (ITEMS, 40)
    assert not residuals.items[:, 27:].any()


def test_later_events_do_not_count():
    events = interactions()
    past = fit_residuals(events.before(at(2)), at(2), 28, CONFIG, seed=0)
    now = fit_residuals(events, at(2), 28, CONFIG, seed=0)
    np.testing.assert_array_equal(now.items, past.items)


def test_scores_of_mean_histories_have_deviation_1():
    events = interactions()
    residuals = fitted(events)
    counts = events.matrix().toarray()
    means = counts / counts.sum(axis=1, keepdims=True)
    scores = (means @ residuals.events @ residuals.items.T)[:, [i for i in range(30) if i % 10 < 9]]
    np.testing.assert_allclose(scores.std(), 1, rtol=1e-3)


def test_without_events_all_residuals_are_zero():
    residuals = fitted(interactions().before(at(0)))
    assert residuals.items.shape == (ITEMS, 28)
    assert not residuals.items.any()
