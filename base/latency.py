"""What a piece of work takes, estimated from the times it took before."""

import time

_NEWEST = 1 / 8  # share of the latest measurement in the mean
_NEWEST_DEVIATION = 1 / 4  # and of its distance from the mean in the deviation
_DEVIATIONS = 2.0  # above the mean: a little too long is better than too short
_HALF_LIFE = 10.0  # seconds


class LatencyEstimate:
    """A running estimate of what one kind of work takes, rather too long than too short.

    It is a mean and some deviations, as TCP estimates round trips (Jacobson, 1988). Work that is
    thought too long is left out and then not measured, so what was not measured for a while is
    doubted: the estimate falls towards the least ever measured.
    """

    def __init__(self) -> None:
        """Nothing is known: no time at all."""
        self._least = 0.0
        self._mean = 0.0
        self._deviation = 0.0
        self._measured: float | None = None  # when it was last

    @property
    def seconds(self) -> float:
        """What the work is expected to take; 0 before it was measured."""
        if self._measured is None:
            return 0.0
        estimate = self._mean + _DEVIATIONS * self._deviation
        trust: float = 0.5 ** ((time.monotonic() - self._measured) / _HALF_LIFE)
        return self._least + max(estimate - self._least, 0.0) * trust

    def add(self, seconds: float) -> None:
        """Take note of what the work took."""
        if self._measured is None:
            self._least, self._mean, self._deviation = seconds, seconds, seconds / 2
        else:
            distance = seconds - self._mean
            self._least = min(self._least, seconds)
            self._mean += _NEWEST * distance
            self._deviation += _NEWEST_DEVIATION * (abs(distance) - self._deviation)
        self._measured = time.monotonic()
