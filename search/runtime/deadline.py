"""The deadline budget of one request: the time left, and the time for optional work."""

import time
from collections import defaultdict
from collections.abc import Callable

from base.latency import LatencyEstimate
from search.config import ANSWER_SHARE
from search.errors import DeadlineExceededError
from search.runtime.batching import CallContext, current_context


def caller_check() -> Callable[[], None]:
    """Return a function that long work calls between its steps, on any thread.

    The function raises DeadlineExceededError once the caller of the present thread is gone or its
    deadline passed.
    """
    caller = current_context()

    def check() -> None:
        if caller is not None and caller.expired():
            raise DeadlineExceededError("nobody waits for the result any more")

    return check


class LatencyEstimates:
    """Expected durations of stages, by name, measured on earlier requests."""

    def __init__(self) -> None:
        """Start without any estimate."""
        self._estimates: defaultdict[str, LatencyEstimate] = defaultdict(LatencyEstimate)

    def add(self, name: str, seconds: float) -> None:
        """Record how long a stage took."""
        self._estimates[name].add(seconds)

    def seconds(self, *names: str) -> float:
        """Return the expected duration of some stages together; 0 for stages that never ran."""
        return sum((self._estimates[name].seconds for name in names), 0.0)


class DeadlineBudget:
    """The time that a request may take.

    A part of the time until the deadline is reserved for writing and sending the answer. Optional
    work (reranking, facets) may use the rest. If n requests wait behind this request, optional work
    may use only 1/(n+1) of the rest.
    """

    def __init__(
        self,
        deadline: float | None,
        estimates: LatencyEstimates,
        reserved_seconds: float = 0.0,
        *,
        has_optional_work: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the budget of a request.

        Args:
            deadline: When the caller stops waiting, in seconds of `clock`; None: never.
            estimates: Expected durations of stages.
            reserved_seconds: Least time to reserve for writing and sending the answer.
            has_optional_work: Whether the request has parts that can be left out.
            clock: Returns the time in seconds.
        """
        self._clock = clock
        self._deadline = deadline
        self._estimates = estimates
        self._ready_by: float | None = None
        if deadline is not None and has_optional_work:
            now, caller = clock(), current_context()
            reserved = max(reserved_seconds, ANSWER_SHARE * (deadline - now))
            callers = 1 if caller is None else 1 + caller.waiting()
            self._ready_by = now + (deadline - reserved - now) / callers

    def check(self) -> None:
        """Raise DeadlineExceededError if the deadline passed or the request was cancelled."""
        if self._deadline is not None and self._clock() >= self._deadline:
            raise DeadlineExceededError("the deadline passed before the answer was ready")
        caller = current_context()
        if caller is not None and caller.cancelled:
            raise DeadlineExceededError("nobody waits for the answer any more")

    @property
    def limits_optional_work(self) -> bool:
        """Whether there is a time limit for optional work."""
        return self._ready_by is not None

    def left(self, *later_stages: str) -> float:
        """Return the seconds left for optional work, less the expected time of later stages."""
        if self._ready_by is None:
            return float("inf")
        return self._ready_by - self._clock() - self._estimates.seconds(*later_stages)

    def caller(self, *later_stages: str) -> CallContext:
        """Return the context for model work that must leave time for some later stages."""
        deadline = self._ready_by
        if deadline is not None:
            deadline -= self._estimates.seconds(*later_stages)
        return CallContext(deadline, parent=current_context(), clock=self._clock)
