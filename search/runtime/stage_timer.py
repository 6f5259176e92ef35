"""The stage timer of one request: what each stage did and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from search.errors import DeadlineExceededError
from search.result import StageReport
from search.runtime.deadline import DeadlineBudget, LatencyEstimates


@dataclass
class Stage:
    """A stage under way; its code fills in what the report says.

    Attributes:
        name: Which stage.
        candidates: How many candidates left it.
        cached: How many of its model results came from the cache.
        plan: How recall searched within a filter; "" otherwise.
    """

    name: str
    candidates: int = 0
    cached: int = 0
    plan: str = ""

    def report(self, seconds: float) -> StageReport:
        """Return the report of the stage after it took so many seconds."""
        return StageReport(self.name, self.candidates, seconds, self.cached, self.plan)


class StageTimer:
    """Times the stages of one request, and stops it when its deadline has passed."""

    def __init__(self, budget: DeadlineBudget, estimates: LatencyEstimates) -> None:
        """Start with no stage.

        Args:
            budget: The time of the request.
            estimates: Takes the duration of each stage and step.
        """
        self._budget = budget
        self._estimates = estimates
        self._reports: list[StageReport] = []

    @property
    def reports(self) -> tuple[StageReport, ...]:
        """The reports of the stages so far, in the order in which they ran."""
        return tuple(self._reports)

    def fork(self) -> "StageTimer":
        """Return a timer with the same reports; further stages of one are not in the other."""
        forked = StageTimer(self._budget, self._estimates)
        forked._reports = list(self._reports)
        return forked

    def check(self) -> None:
        """Raise DeadlineExceededError, with the reports so far, if the time is over."""
        try:
            self._budget.check()
        except DeadlineExceededError as error:
            error.stages = self.reports
            raise

    @contextmanager
    def stage(self, name: str, candidates: int = 0) -> Iterator[Stage]:
        """Time a stage and report on it.

        Args:
            name: Which stage.
            candidates: What the report says if the stage does not set another number.

        Raises:
            DeadlineExceededError: the time was over before the stage began or while it ran.
        """
        self.check()
        stage = Stage(name, candidates)
        start = time.perf_counter()
        try:
            yield stage
        except DeadlineExceededError as error:
            stage.candidates = 0  # nothing left the interrupted stage
            error.stages = (*self._reports, stage.report(time.perf_counter() - start))
            raise
        seconds = time.perf_counter() - start
        self._estimates.add(name, seconds)
        self._reports.append(stage.report(seconds))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a part of a stage, or work between stages, without a report."""
        start = time.perf_counter()
        yield
        self._estimates.add(name, time.perf_counter() - start)
