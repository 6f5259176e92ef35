"""Off-policy estimates, against values computed by hand and against the truth."""

import numpy as np
import pytest

from train.evaluation.policy.estimates import Logged, estimate


def logged(
    request, position, reward, propensity, target, predicted=None, expected=None, filled=None
):
    requests = max(request) + 1
    rows = np.zeros(len(request))
    return Logged(
        np.array(request),
        np.array(position),
        np.array(reward, float),
        np.array(propensity, float),
        np.array(target, float),
        rows if predicted is None else np.array(predicted, float),
        np.zeros(requests) if expected is None else np.array(expected, float),
        np.ones(max(position) + 1) if filled is None else np.array(filled, float),
    )


def test_the_estimates_of_a_small_log_are_those_on_paper():
    # Four requests with one position. The target's item was shown in the first three.
    log = logged(
        [0, 1, 2, 3],
        [0, 0, 0, 0],
        [1, 0, 1, 1],
        [0.5, 0.25, 0.5, 0.5],
        [1, 1, 1, 0],
        predicted=[0.4, 0.4, 0.4, 0.9],
        expected=[0.4, 0.4, 0.4, 0.4],
    )
    found = estimate(log)
    assert found.logged.mean == pytest.approx(3 / 4)
    assert found.ips.mean == pytest.approx((2 + 0 + 2) / 4)
    assert found.snips.mean == pytest.approx((2 + 2) / (2 + 4 + 2))
    assert found.doubly_robust.mean == pytest.approx(0.4 + (2 * 0.6 - 4 * 0.4 + 2 * 0.6) / 4)
    assert found.effective_size == pytest.approx(8**2 / (4 + 16 + 4))
    assert found.support == pytest.approx(8 / 4)
    deviation = np.std([2, 0, 2, 0], ddof=1)
    assert found.ips.high - found.ips.mean == pytest.approx(1.959964 * deviation / 2)


def test_positions_add_up_and_each_has_its_own_norm():
    log = logged([0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1], [0.5] * 4, [1, 1, 1, 0], filled=[1, 0.5])
    found = estimate(log)
    assert found.ips.mean == pytest.approx((2 * 1 + 0 + 0) / 2)
    assert found.snips.mean == pytest.approx(1 * (2 / 4) + 0.5 * 0.0)


def test_a_target_that_was_never_shown_has_no_support():
    found = estimate(logged([0, 1], [0, 0], [1, 1], [0.5, 0.5], [0, 0]))
    assert found.support == 0
    assert found.snips.mean == 0
    assert "supports only 0%" in found.warning


def test_few_large_weights_are_warned_of():
    rng = np.random.default_rng(0)
    shown = rng.random(2_000) < 0.01
    log = logged(range(2_000), [0] * 2_000, shown * 0.0, np.where(shown, 0.01, 0.99), shown)
    found = estimate(log)
    assert found.effective_size < 100
    assert "effective sample size" in found.warning
    same = estimate(logged(range(2_000), [0] * 2_000, [1] * 2_000, [0.99] * 2_000, [1] * 2_000))
    assert same.warning == ""


@pytest.mark.parametrize("name", ["ips", "snips", "doubly_robust"])
def test_the_intervals_have_the_truth_in_most_logs(name):
    """Three items with known rewards; the log shows the first in 80% of the requests."""
    rewards, propensities = np.array([0.3, 0.5, 0.1]), np.array([0.8, 0.15, 0.05])
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shown = rng.choice(3, 1_000, p=propensities)
        log = logged(
            range(1_000),
            [0] * 1_000,
            rng.random(1_000) < rewards[shown],
            propensities[shown],
            shown == 1,
            predicted=np.array([0.2, 0.4, 0.2])[shown],
            expected=[0.4] * 1_000,
        )
        interval = getattr(estimate(log), name)
        covered += interval.low <= 0.5 <= interval.high
    assert covered >= 180
