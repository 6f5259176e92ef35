"""The time of one request: what each stage took, what is left, and what there was no time for."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from base.latency import LatencyEstimate
from search.config import ANSWER_SHARE
from search.result import DeadlineExceededError, Degradation, StageReport
from search.runtime.batching import Caller, current_caller

# Takes note of how many model results of a stage were remembered.
Remembered: TypeAlias = Callable[[int], None]


class LatencyEstimates:
    """What the stages of earlier requests took, by name."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._costs: defaultdict[str, LatencyEstimate] = defaultdict(LatencyEstimate)

    def add(self, name: str, seconds: float) -> None:
        """Take note of what a stage took."""
        self._costs[name].add(seconds)

    def seconds(self, *names: str) -> float:
        """What stages are expected to take together; 0 for one that never ran."""
        return sum((self._costs[name].seconds for name in names), 0.0)


class Clock:
    """Times the stages of one request and stops it when its deadline has passed.

    Attributes:
        stages: What they did so far.
        left_out: What was not done because there was not time enough.
    """

    def __init__(
        self,
        deadline: float | None,
        costs: LatencyEstimates | None = None,
        kept_seconds: float = 0.0,
        *,
        whole: bool = False,
    ) -> None:
        """Begin a request.

        For what can be left out it has the time until the deadline, shared with all calls that wait
        behind: were it all of one's, the others would pay with theirs.

        Args:
            deadline: Until when it is of use, in seconds of `time.monotonic()`; None for ever.
            costs: What stages take, learnt from and added to.
            kept_seconds: What is kept back at least for what follows the engine.
            whole: Nothing can be left out: it is all in time or of no use.
        """
        self._deadline = deadline
        self._costs = LatencyEstimates() if costs is None else costs
        self._ready_by: float | None = None
        if deadline is not None and not whole:
            now, caller = time.monotonic(), current_caller()
            kept = max(kept_seconds, ANSWER_SHARE * (deadline - now))
            sharing = 1 if caller is None else 1 + caller.waiting()
            self._ready_by = now + (deadline - kept - now) / sharing
        self.stages: list[StageReport] = []
        self.left_out: list[Degradation] = []

    def check(self) -> None:
        """Raise DeadlineExceededError once the deadline has passed or nobody waits any more."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise DeadlineExceededError(
                "the deadline passed before the answer was ready", tuple(self.stages)
            )
        caller = current_caller()
        if caller is not None and caller.left:
            raise DeadlineExceededError("nobody waits for the answer any more", tuple(self.stages))

    @property
    def hurries(self) -> bool:
        """Whether something can be left out to be ready in time."""
        return self._ready_by is not None

    def left(self, *later: str) -> float:
        """Seconds for what can be left out, when stages of those names are still to come."""
        if self._ready_by is None:
            return float("inf")
        return self._ready_by - time.monotonic() - self._costs.seconds(*later)

    def hurried(self, *later: str) -> Caller:
        """Whom work is for that must be ready early enough for those later stages."""
        by = None if self._ready_by is None else self._ready_by - self._costs.seconds(*later)
        return Caller(by, on_behalf_of=current_caller())

    def leave_out(self, what: Degradation) -> None:
        """Say that there is not time enough for something."""
        self.left_out.append(what)

    @contextmanager
    def stage(self, name: str, candidates: int) -> Iterator[Remembered]:
        """Time a stage; what it yields takes note of how many results were remembered."""
        self.check()
        cached: list[int] = []
        start = time.perf_counter()
        try:
            yield cached.append
        except DeadlineExceededError as error:  # given up on, so that nothing left it
            seconds = time.perf_counter() - start
            error.stages = (*self.stages, StageReport(name, 0, seconds, sum(cached)))
            raise
        seconds = time.perf_counter() - start
        self._costs.add(name, seconds)
        self.stages.append(StageReport(name, candidates, seconds, sum(cached)))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a part of a stage, or what is none, to know what to keep back for the next one."""
        start = time.perf_counter()
        yield
        self._costs.add(name, time.perf_counter() - start)

    def found(self, candidates: int, plan: str = "") -> None:
        """Say what the last stage found, and how it went about it."""
        self.stages[-1] = replace(self.stages[-1], candidates=candidates, plan=plan)
