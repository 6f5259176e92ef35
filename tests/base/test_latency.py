"""Running estimates of what work takes."""

import pytest

from base import latency
from base.latency import LatencyEstimate


@pytest.fixture
def now(monkeypatch) -> list[float]:
    """The time, in its only place."""
    time = [1000.0]
    monkeypatch.setattr(latency.time, "monotonic", lambda: time[0])
    return time


def test_nothing_is_expected_before_the_first_measurement():
    assert LatencyEstimate().seconds == 0.0


def test_the_estimate_is_the_mean_and_two_deviations(now):
    cost = LatencyEstimate()
    cost.add(0.010)
    assert cost.seconds == pytest.approx(0.010 + 2 * 0.005)
    cost.add(0.018)  # mean 0.010 + 0.008 / 8, deviation 0.005 + (0.008 - 0.005) / 4
    assert cost.seconds == pytest.approx(0.011 + 2 * 0.00575)


def test_work_that_always_takes_the_same_is_expected_to(now):
    cost = LatencyEstimate()
    for _ in range(60):
        cost.add(0.02)
    assert cost.seconds == pytest.approx(0.02, rel=1e-6)


def test_what_was_not_measured_for_a_while_is_doubted(now):
    cost = LatencyEstimate()
    cost.add(0.01)
    for _ in range(100):
        cost.add(5.01)
    assert cost.seconds == pytest.approx(5.01, rel=1e-3)
    now[0] += 10
    assert cost.seconds == pytest.approx(0.01 + 5.0 / 2, rel=1e-3)
    now[0] += 190
    assert cost.seconds == pytest.approx(0.01, rel=1e-3)
