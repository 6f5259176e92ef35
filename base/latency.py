"""Estimate how long a kind of work takes, from earlier measurements."""

import time
from collections.abc import Callable

_MEAN_SHARE = 1 / 8  # weight of the latest measurement in the mean
_DEVIATION_SHARE = 1 / 4  # weight of the latest distance from the mean in the deviation
_DEVIATIONS = 2.0  # how many deviations to add to the mean: a long estimate is safer
_HALF_LIFE_SECONDS = 10.0


class LatencyEstimate:
    """A running estimate of the duration of one kind of work.

    The estimate is the mean plus two deviations, as in TCP's estimate of round trips (Jacobson,
    1988). If an estimate is too long, callers skip the work, so it is not measured again. Therefore
    an estimate without new measurements falls towards the shortest duration ever measured: its
    distance from this duration halves every 10 s.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start without measurements.

        Args:
            now: Returns the time in seconds.
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
