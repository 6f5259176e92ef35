"""Estimates of how long a kind of work takes, from the times that it took before."""

import time
from collections.abc import Callable

_MEAN_SHARE = 1 / 8  # weight of the latest measurement in the mean
_DEVIATION_SHARE = 1 / 4  # weight of its distance from the mean in the deviation
_DEVIATIONS = 2.0  # above the mean: too long an estimate is better than too short a one
_HALF_LIFE_SECONDS = 10.0


class LatencyEstimate:
    """A running estimate of how long one kind of work takes, rather too long than too short.

    The estimate is the mean and two deviations, as TCP estimates round trips (Jacobson, 1988). Work
    with too long an estimate is skipped and then not measured. So the estimate of work that was not
    measured for a while falls towards the shortest time ever measured, by half every 10 s.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with no measurement.

        Args:
            now: The time in seconds.
        """
        self._now = now
        self._least = 0.0
        self._mean = 0.0
        self._deviation = 0.0
        self._measured_at: float | None = None

    @property
    def seconds(self) -> float:
        """The expected duration; 0 before the first measurement."""
        if self._measured_at is None:
            return 0.0
        estimate = self._mean + _DEVIATIONS * self._deviation
        trust: float = 0.5 ** ((self._now() - self._measured_at) / _HALF_LIFE_SECONDS)
        return self._least + max(estimate - self._least, 0.0) * trust

    def add(self, seconds: float) -> None:
        """Add a measured duration."""
        if self._measured_at is None:
            self._least, self._mean, self._deviation = seconds, seconds, seconds / 2
        else:
            distance = seconds - self._mean
            self._least = min(self._least, seconds)
            self._mean += _MEAN_SHARE * distance
            self._deviation += _DEVIATION_SHARE * (abs(distance) - self._deviation)
        self._measured_at = self._now()
