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
    """A running stage. The code of the stage sets the fields, which go into the report.

    Attributes:
        name: The name of the stage.
        candidates: The amount of work, as in `StageReport`.
        cached: Number of model results that came from the cache.
        plan: How recall searched within a filter (see `filtered.Plan`); "" otherwise.
    """

    name: str
    candidates: int = 0
    cached: int = 0
    plan: str = ""

    def report(self, seconds: float) -> StageReport:
        """Return the report of the stage, which took `seconds`."""
        return StageReport(self.name, self.candidates, seconds, self.cached, self.plan)


class StageTimer:
    """Measures the stages of one request; raises an error once the deadline has passed."""

    def __init__(self, budget: DeadlineBudget, estimates: LatencyEstimates) -> None:
        """Start without reports.

        Args:
            budget: The deadline budget of the request.
            estimates: Records the duration of each stage and step.
        """
        self._budget = budget
        self._estimates = estimates
        self._reports: list[StageReport] = []

    @property
    def reports(self) -> tuple[StageReport, ...]:
        """The reports of the stages that have run, in order."""
        return tuple(self._reports)

    def fork(self) -> "StageTimer":
        """Return a copy. Later reports of one timer are not in the other."""
        forked = StageTimer(self._budget, self._estimates)
        forked._reports = list(self._reports)
        return forked

    def check(self) -> None:
        """Raise DeadlineExceededError, with the reports so far, if the deadline has passed."""
        try:
            self._budget.check()
        except DeadlineExceededError as error:
            error.stages = self.reports
            raise

    @contextmanager
    def stage(self, name: str, candidates: int = 0) -> Iterator[Stage]:
        """Measure the time of a stage, and add a report.

        Args:
            name: The name of the stage.
            candidates: The initial value of `Stage.candidates`.

        Raises:
            DeadlineExceededError: the deadline passed before or during the stage.
        """
        self.check()
        stage = Stage(name, candidates)
        start = time.perf_counter()
        try:
            yield stage
        except DeadlineExceededError as error:
            stage.candidates = 0  # the interrupted stage has no result
            error.stages = (*self._reports, stage.report(time.perf_counter() - start))
            raise
        seconds = time.perf_counter() - start
        self._estimates.add(name, seconds)
        self._reports.append(stage.report(seconds))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the time of a part of a stage, or of work between stages. Add no report."""
        start = time.perf_counter()
        yield
        self._estimates.add(name, time.perf_counter() - start)
