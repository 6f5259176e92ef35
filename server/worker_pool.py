"""Threads behind a bounded queue: the engine never runs on the event loop.

Each running call has one thread. One other thread does the model work of all calls (see
`search.runtime.batching`), so more threads do not slow the models down: calls prepare and finish
their work while others compute.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from live.throttle import Throttle
from search.errors import DeadlineExceededError
from search.runtime.batching import CallContext, call_scope
from search.runtime.cpu_limit import hold_cpu

Answer = TypeVar("Answer")
Clock = Callable[[], float]

_NEWEST_SHARE = 0.1  # weight of the latest job in the running means


class OverloadedError(Exception):
    """The queue is full, or so long that an answer would come too late.

    Attributes:
        retry_seconds: When the queue is likely to have room.
    """

    def __init__(self, retry_seconds: float):
        super().__init__("the server has more work than it can queue")
        self.retry_seconds = retry_seconds


class StoppingError(Exception):
    """The server is going down and takes no more work."""


@dataclass
class QueueEstimate:
    """Running means of how long jobs run and wait in the queue.

    Only jobs that had others ahead of them count: the rest say nothing about a busy server.
    Refused jobs give no samples, so `seconds_behind` halves its answer every half-life.
    """

    job_seconds: float = 0.0  # how long a job runs
    place_seconds: float = 0.0  # how long a job waits for each place of the queue
    updated: float = 0.0  # time of the last sample, in seconds of `clock`
    half_life_seconds: float = 2.0
    clock: Clock = time.monotonic

    def add(self, place_seconds: float, job_seconds: float) -> None:
        """Take a finished job into the means."""
        self.place_seconds += _NEWEST_SHARE * (place_seconds - self.place_seconds)
        self.job_seconds += _NEWEST_SHARE * (job_seconds - self.job_seconds)
        self.updated = self.clock()

    def seconds_behind(self, ahead: int) -> float:
        """Return how long a job takes from now until it is done, behind `ahead` others."""
        weight: float = 0.5 ** ((self.clock() - self.updated) / self.half_life_seconds)
        return weight * ((ahead + 1) * self.place_seconds + self.job_seconds)

    def retry_seconds(self, waiting: int) -> float:
        """Return how long half of the queue takes, from 0.1 to 10 seconds."""
        return min(max(waiting * self.place_seconds / 2, 0.1), 10.0)


class WorkerPool:
    """Starts jobs in their order, a few at a time, each on a thread of its own.

    The pool refuses a job that could not be done by its deadline behind those that wait. It drops
    a queued job whose caller has left or whose deadline has passed, and the remaining model work
    of such a job that runs.
    """

    def __init__(
        self,
        queue_size: int,
        threads: int = 1,
        *,
        on_wait: Callable[[float], None] | None = None,
        on_batch: Callable[[int, int], None] | None = None,
        throttle: Throttle | None = None,
        estimate: QueueEstimate | None = None,
        clock: Clock = time.monotonic,
    ):
        """Start the threads.

        Args:
            queue_size: How many jobs may wait behind the running ones.
            threads: How many jobs may run at a time.
            on_wait: Called with the seconds that each job waited for its turn.
            on_batch: Called with the rows and the jobs of each batch of model work.
            throttle: Counts the jobs that wait or run.
            estimate: How long jobs run and wait; None starts without samples.
            clock: Measures waits and run times, in seconds of `time.monotonic()`.
        """
        self._throttle = throttle or Throttle()
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=queue_size)
        self._on_wait = on_wait
        self._on_batch = on_batch
        self._running = 0
        self._counting = threading.Lock()
        self._estimate = estimate or QueueEstimate(clock=clock)
        self._clock = clock
        self._closed = False
        self._closing = threading.Lock()  # keeps jobs from queueing behind the None of `close`
        # Daemons, so that a process interrupted while it compiles need not wait for them.
        self._threads = [
            threading.Thread(target=self._run_jobs, name=f"engine-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue."""
        return self._jobs.qsize()

    @property
    def running(self) -> int:
        """Number of jobs that run."""
        return self._running

    @property
    def overloaded(self) -> OverloadedError | None:
        """The error for a job that came now; None while the queue has room."""
        return self._refusal() if self._jobs.full() else None

    async def run(self, work: Callable[[], Answer], deadline: float | None = None) -> Answer:
        """Run `work` on a thread and return its result, or raise its error.

        Args:
            work: The job. Cancelling this coroutine drops the job, or its remaining model work.
            deadline: Absolute time.monotonic() seconds; None waits as long as it takes.

        Raises:
            DeadlineExceededError: The deadline passed before the job's turn came.
            OverloadedError: The queue is full, or too long for the deadline.
            StoppingError: The pool was closed.
        """
        queued = self._clock()
        if deadline is not None and queued >= deadline:
            raise DeadlineExceededError("the deadline passed before the work began")
        future: Future[Answer] = Future()
        caller = CallContext(deadline, self._on_batch, waiting=self._jobs.qsize)
        with self._closing:
            if self._closed:
                raise StoppingError("the server is going down")
            ahead = self._jobs.qsize()
            if ahead and deadline is not None:
                done = queued + self._estimate.seconds_behind(ahead)
                if done > deadline:
                    raise self._refusal()
            try:
                self._jobs.put_nowait(partial(self._run_job, work, caller, future, queued, ahead))
            except queue.Full:
                raise self._refusal() from None
        try:
            with self._throttle.request():
                return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            caller.cancel()
            raise
        finally:
            del future  # with an error's traceback it would be a cycle, which keeps the engine

    def close(self) -> None:
        """Refuse new work, finish the queued work and end the threads. Blocks until then."""
        with self._closing:
            first, self._closed = not self._closed, True
        if first:
            for _ in self._threads:
                self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._count(1)
            job()
            self._count(-1)
            del job  # or it would keep its engine until the next job comes

    def _count(self, change: int) -> None:
        with self._counting:
            self._running += change

    def _run_job(
        self,
        work: Callable[[], Answer],
        caller: CallContext,
        future: Future[Answer],
        queued: float,
        ahead: int,
    ) -> None:
        began = self._clock()
        if self._on_wait is not None:
            self._on_wait(began - queued)
        if not future.set_running_or_notify_cancel():
            return
        if caller.expired():
            future.set_exception(
                DeadlineExceededError("the deadline passed while the work was queued")
            )
            return
        try:
            with call_scope(caller), hold_cpu():
                answer = work()
        except BaseException as error:  # the thread must outlive every job
            future.set_exception(error)
        else:
            future.set_result(answer)
        finally:
            del future  # as in `run`
        if ahead:
            self._estimate.add((began - queued) / (ahead + 1), self._clock() - began)

    def _refusal(self) -> OverloadedError:
        return OverloadedError(self._estimate.retry_seconds(self._jobs.qsize()))
