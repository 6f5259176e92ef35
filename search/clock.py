"""The time of one request: what each stage took, and when it is of no use any more."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from search.records import DeadlineExceededError, StageReport

# Takes note of how many model results of a stage were remembered.
Remembered: TypeAlias = Callable[[int], None]


class Clock:
    """Times the stages of one request and stops it when its deadline has passed."""

    def __init__(self, deadline: float | None) -> None:
        """Begin a request that is of use until `deadline`, in seconds of `time.monotonic()`."""
        self._deadline = deadline
        self.stages: list[StageReport] = []

    def check(self) -> None:
        """Raise DeadlineExceededError once the deadline has passed."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise DeadlineExceededError("the deadline passed before the answer was ready")

    @contextmanager
    def stage(self, name: str, candidates: int) -> Iterator[Remembered]:
        """Time a stage; what it yields takes note of how many results were remembered."""
        self.check()
        cached: list[int] = []
        start = time.perf_counter()
        yield cached.append
        seconds = time.perf_counter() - start
        self.stages.append(StageReport(name, candidates, seconds, sum(cached)))

    def found(self, candidates: int, plan: str) -> None:
        """Say what the last stage found, and how it went about it."""
        self.stages[-1] = replace(self.stages[-1], candidates=candidates, plan=plan)
