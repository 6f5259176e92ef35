"""The thread that writes to the event log: many calls share one transaction."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from base.error_logging import RepeatedErrors
from base.errors import RequestError
from behaviour.events import Event
from behaviour.log.event_log import Appended

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class ClosedLogError(Exception):
    """The log is closed, so it takes no more events."""


@dataclass(frozen=True)
class _Append:
    """The events of one call."""

    events: Sequence[Event]
    future: "Future[Appended]" = field(default_factory=Future)


@dataclass(frozen=True)
class _Task:
    """Other work, which runs between transactions."""

    work: Callable[[], Any]
    future: "Future[Any]" = field(default_factory=Future)


class Writer:
    """Runs the jobs of a log on one thread, in the order of their calls."""

    def __init__(
        self,
        append: Callable[[Sequence[Sequence[Event]]], list[Appended]],
        maintain: Callable[[], object],
        *,
        transaction_events: int,
        queued_events: int,
        gather_seconds: float,
        maintain_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.

        Args:
            append: Makes the events of several calls durable, and returns their outcomes.
            maintain: Called every `maintain_seconds`.
            transaction_events: Maximum number of events in one transaction.
            queued_events: Maximum number of events that wait.
            gather_seconds: Pause after a transaction, in which further events gather.
            maintain_seconds: Time between two calls of `maintain`.
            clock: Returns the time in seconds.
        """
        self._append = append
        self._maintain = maintain
        self._transaction_events = transaction_events
        self._queued_events = queued_events
        self._gather_seconds = gather_seconds
        self._maintain_seconds = maintain_seconds
        self._clock = clock
        self._maintain_at = clock() + maintain_seconds
        self._errors = RepeatedErrors(logger)
        self._jobs: deque[_Append | _Task] = deque()
        self._waiting = 0  # number of events in `_jobs`
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[Event]) -> "Future[Appended] | None":
        """Queue events; return None if too many events wait.

        Raises:
            ClosedLogError: after `close`.
        """
        with self._changed:
            self._require_open()
            if self._waiting and self._waiting + len(events) > self._queued_events:
                return None
            job = _Append(events)
            self._waiting += len(events)
            self._put(job)
        return job.future

    def run(self, work: Callable[[], Result]) -> "Future[Result]":
        """Queue work that runs after the jobs before it.

        Raises:
            ClosedLogError: after `close`.
        """
        with self._changed:
            self._require_open()
            job = _Task(work)
            self._put(job)
        return job.future

    def close(self) -> None:
        """Finish the queued jobs and end the thread."""
        with self._changed:
            self._closed.set()
            self._changed.notify()
        self._thread.join()

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise ClosedLogError("the server is going down")

    def _put(self, job: _Append | _Task) -> None:
        job.future.set_running_or_notify_cancel()  # so that the caller cannot cancel the job
        self._jobs.append(job)
        self._changed.notify()

    def _run(self) -> None:
        while (jobs := self._take()) is not None:
            if isinstance(jobs, _Task):
                self._finish([jobs], partial(_run_task, jobs))
            else:
                self._finish(jobs, partial(self._append, [job.events for job in jobs]))
                self._closed.wait(self._gather_seconds)

    def _take(self) -> _Task | list[_Append] | None:
        """Wait for a task, or for calls that share a transaction; None once the log is closed."""
        with self._changed:
            while not self._jobs:
                if self._closed.is_set():
                    return None
                left = self._maintain_at - self._clock()
                if left <= 0:
                    break
                self._changed.wait(left)
            if self._clock() >= self._maintain_at:
                self._maintain_at = self._clock() + self._maintain_seconds
                return _Task(self._maintain)
            first = self._jobs.popleft()
            return first if isinstance(first, _Task) else self._batch(first)

    def _batch(self, first: _Append) -> list[_Append]:
        """Take the calls of one transaction from the queue."""
        batch, events = [first], len(first.events)
        while self._jobs and isinstance(following := self._jobs[0], _Append):
            events += len(following.events)
            if events > self._transaction_events:
                break
            self._jobs.popleft()
            batch.append(following)
        self._waiting -= sum(len(each.events) for each in batch)
        return batch

    def _finish(self, jobs: Sequence[_Append | _Task], work: Callable[[], list[Any]]) -> None:
        try:
            results = work()
        except Exception as error:  # no failure may end the thread
            if not isinstance(error, RequestError):
                self._errors.log(error, "events could not be recorded")
            for job in jobs:
                job.future.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.future.set_result(result)


def _run_task(task: _Task) -> list[Any]:
    return [task.work()]
