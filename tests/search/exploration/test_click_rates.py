"""The click rates of items with few clicks."""

import numpy as np
import pytest

from search.exploration.click_rates import Clicks, best_chances, posterior


def clicks(numbers, examined, mean=0.1) -> Clicks:
    return Clicks(np.array(numbers, float), np.array(examined, float), mean)


def test_before_clicks_the_rate_is_in_proportion_to_the_prediction():
    alpha, beta = posterior(np.array([0.2, 0.6]), clicks([0, 0], [0, 0]), strength=20.0)
    assert alpha / (alpha + beta) == pytest.approx([0.05, 0.15])
    assert alpha + beta == pytest.approx([20, 20])


def test_the_scale_of_the_predictions_follows_from_all_clicks():
    # 60 clicks where the predictions add up to 100 + 20 · 0.5: a prediction of 0.5 is a rate of
    # (60 + 2) / (100 + 10) / 2.
    alpha, beta = posterior(np.array([0.5, 0.5]), clicks([60, 0], [200, 0]), strength=20.0)
    assert alpha[1] / (alpha[1] + beta[1]) == pytest.approx(62 / 110 / 2)
    assert (alpha + beta).tolist() == pytest.approx([220, 20])


def test_more_clicks_than_examinations_and_predictions_of_0_are_possible():
    alpha, beta = posterior(np.zeros(2), clicks([5, 0], [2, 0]))
    assert (alpha > 0).all()
    assert (beta > 0).all()


def test_the_chances_are_those_of_drawn_rates():
    alpha, beta = np.array([2.0, 1.0, 30.0, 0.02]), np.array([18.0, 19.0, 170.0, 20.0])
    rates = np.random.default_rng(0).beta(alpha, beta, (100_000, 4))
    drawn = np.bincount(rates.argmax(axis=1), minlength=4) / len(rates)
    assert best_chances(alpha, beta) == pytest.approx(drawn, abs=0.01)


def test_an_item_that_was_seldom_shown_is_likelier_than_one_that_was_often_shown():
    # The third item is clicked at the mean rate, the second never, and the first was never shown.
    chances = best_chances(*posterior(np.ones(3), clicks([0, 0, 120], [0, 600, 600])))
    assert chances[0] > 0.05
    assert chances[1] < 0.001


def test_one_item_is_the_best():
    assert best_chances(np.array([1.0]), np.array([5.0])).tolist() == [1.0]
