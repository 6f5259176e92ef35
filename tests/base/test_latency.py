"""Running estimates of how long work takes."""

import pytest

from base.latency import LatencyEstimate
from tests.timing import Clock


@pytest.fixture
def now() -> Clock:
    return Clock()


def test_the_estimate_is_zero_before_the_first_measurement():
    assert LatencyEstimate().seconds == 0.0


def test_the_estimate_is_the_mean_and_two_deviations(now):
    estimate = LatencyEstimate(now)
    estimate.add(0.010)
    assert estimate.seconds == pytest.approx(0.010 + 2 * 0.005)
    # The mean becomes 0.010 + 0.008 / 8, and the deviation 0.005 + (0.008 - 0.005) / 4.
    estimate.add(0.018)
    assert estimate.seconds == pytest.approx(0.011 + 2 * 0.00575)


def test_the_estimate_of_constant_work_is_its_duration(now):
    estimate = LatencyEstimate(now)
    for _ in range(60):
        estimate.add(0.02)
    assert estimate.seconds == pytest.approx(0.02, rel=1e-6)


def test_an_old_estimate_falls_towards_the_shortest_time(now):
    estimate = LatencyEstimate(now)
    estimate.add(0.01)
    for _ in range(100):
        estimate.add(5.01)
    assert estimate.seconds == pytest.approx(5.01, rel=1e-3)
    now.advance(10)
    assert estimate.seconds == pytest.approx(0.01 + 5.0 / 2, rel=1e-3)
    now.advance(190)
    assert estimate.seconds == pytest.approx(0.01, rel=1e-3)
