"""A pool of threads with a bounded queue, so that the engine never runs on the event loop.

Each running call has one thread. One other thread runs the models for all calls (see
`search.runtime.batching`). More threads therefore do not slow the models down: a call prepares or
finishes its work while the models compute for other calls.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from base.panics import panics_as_errors
from live.throttle import Throttle
from search.errors import DeadlineExceededError
from search.runtime.batching import CallContext, call_scope
from search.runtime.cpu_limit import hold_cpu

Answer = TypeVar("Answer")
Clock = Callable[[], float]

_NEWEST_SHARE = 0.1  # weight of the newest job in the running means


class OverloadedError(Exception):
    """The queue is full, or too long for the deadline of the call.

    Attributes:
        retry_seconds: Seconds until the queue is likely to have room.
    """

    def __init__(self, retry_seconds: float):
        super().__init__("the server has more work than it can queue")
        self.retry_seconds = retry_seconds


class StoppingError(Exception):
    """The server is going down and takes no more work."""


@dataclass
class QueueEstimate:
    """Running means of the run times of jobs and of their waits in the queue.

    Only jobs that waited behind other jobs are samples. The times of a job that did not wait do not
    show how fast a busy server works. Refused jobs give no samples. Without samples, the estimate
    of `seconds_behind` halves every `half_life_seconds`.
    """

    job_seconds: float = 0.0  # mean run time of a job
    place_seconds: float = 0.0  # mean wait of a job per position in the queue
    updated: float = 0.0  # time of the last sample, in seconds of `clock`
    half_life_seconds: float = 2.0
    clock: Clock = time.monotonic

    def add(self, place_seconds: float, job_seconds: float) -> None:
        """Add the times of a finished job to the means."""
        self.place_seconds += _NEWEST_SHARE * (place_seconds - self.place_seconds)
        self.job_seconds += _NEWEST_SHARE * (job_seconds - self.job_seconds)
        self.updated = self.clock()

    def seconds_behind(self, ahead: int) -> float:
        """Estimate the time until a new job is done, with `ahead` jobs in front of it."""
        weight: float = 0.5 ** ((self.clock() - self.updated) / self.half_life_seconds)
        return weight * ((ahead + 1) * self.place_seconds + self.job_seconds)

    def retry_seconds(self, waiting: int) -> float:
        """Estimate the time until half of the `waiting` jobs have started, from 0.1 to 10 s."""
        return min(max(waiting * self.place_seconds / 2, 0.1), 10.0)


class WorkerPool:
    """Runs jobs on threads, in the order of their arrival.

    The pool refuses a job if the queue is full, or too long for the deadline of the job. It drops a
    queued job if the caller cancels it or its deadline passes. If such a job already runs, the pool
    drops its remaining model work.
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
        hold: Callable[[], AbstractContextManager[None]] = hold_cpu,
    ):
        """Start the threads.

        Args:
            queue_size: How many jobs may wait.
            threads: How many jobs may run at a time.
            on_wait: Called for each job with the seconds that it waited in the queue.
            on_batch: Called for each batch of model work with its numbers of rows and jobs.
            throttle: Counts the waiting and running jobs; background work pauses for them.
            estimate: Estimates run times and waits; None: an estimate without samples.
            clock: Returns the time in seconds. Deadlines are times of this clock.
            hold: Returns the context in which a job runs; `hold_cpu` waits for a free CPU.
        """
        self._throttle = throttle or Throttle()
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=queue_size)
        self._on_wait = on_wait
        self._on_batch = on_batch
        self._running = 0
        self._counting = threading.Lock()
        self._estimate = estimate or QueueEstimate(clock=clock)
        self._clock = clock
        self._hold = hold
        self._closed = False
        self._closing = threading.Lock()  # makes `close` queue its Nones behind all jobs
        # Daemon threads, so that an interrupted process does not wait for a compilation.
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
        """The error that a new job would get; None if the queue has room."""
        return self._refusal() if self._jobs.full() else None

    async def run(self, work: Callable[[], Answer], deadline: float | None = None) -> Answer:
        """Run `work` on a thread and return its result, or raise its error.

        Args:
            work: The job. Cancelling this coroutine drops the job, or its remaining model work.
            deadline: In seconds of the clock; None: no deadline.

        Raises:
            DeadlineExceededError: The deadline passed before the job started.
            OverloadedError: The queue is full, or too long for the deadline.
            StoppingError: The pool was closed.
        """
        queued = self._clock()
        if deadline is not None and queued >= deadline:
            raise DeadlineExceededError("the deadline passed before the work began")
        future: Future[Answer] = Future()
        caller = CallContext(deadline, self._on_batch, waiting=self._jobs.qsize, clock=self._clock)
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
            # A future and its error's traceback would form a reference cycle, which would keep the
            # engine in memory.
            del future

    def close(self) -> None:
        """Refuse new jobs, finish the queued jobs, and wait until the threads have ended."""
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
            del job  # the reference would keep the job's engine until the next job

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
            with panics_as_errors(), call_scope(caller), self._hold():
                answer = work()
        except BaseException as error:  # an error of a job must not end the thread
            future.set_exception(error)
        else:
            future.set_result(answer)
        finally:
            del future  # avoid a reference cycle, as in `run`
        if ahead:
            self._estimate.add((began - queued) / (ahead + 1), self._clock() - began)

    def _refusal(self) -> OverloadedError:
        return OverloadedError(self._estimate.retry_seconds(self._jobs.qsize()))
