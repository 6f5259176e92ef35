"""Threads behind a bounded queue: the engine never runs on the event loop.

Each call has a thread while it runs. The model work of all of them is done by one other thread (see
`search.runtime.batching`), so more threads do not make a model slower; they let calls prepare and
finish their work while others compute.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from live.throttle import Throttle
from search.errors import DeadlineExceededError
from search.runtime.batching import CallContext, call_scope
from search.runtime.cpu_limit import hold_cpu

Answer = TypeVar("Answer")

# The share of the latest job in the running means of how long jobs take and wait.
_NEWEST_SHARE = 0.1
# Who is refused teaches nothing: what was not learnt anew for so long is half believed.
_HALF_LIFE_SECONDS = 2.0


class OverloadedError(Exception):
    """The queue is full, or so long that an answer would come too late.

    Attributes:
        retry_seconds: When a place is likely to be free.
    """

    def __init__(self, retry_seconds: float):
        super().__init__("the server has more work than it can queue")
        self.retry_seconds = retry_seconds


class StoppingError(Exception):
    """The worker takes no more work."""


class Worker:
    """Begins jobs in the order in which they came, a few at a time, each on a thread of its own.

    A job that would not be done by its deadline behind those that wait is not queued. One whose
    caller has gone, or whose deadline has passed, is dropped when its turn comes, before it costs
    anything; of one that has begun, the model work that is left is dropped.
    """

    def __init__(
        self,
        queue_size: int,
        threads: int = 1,
        *,
        waited: Callable[[float], None] | None = None,
        computed: Callable[[int, int], None] | None = None,
        throttle: Throttle | None = None,
    ):
        """Starts the threads.

        Args:
            queue_size: How many jobs may wait behind the ones that run.
            threads: How many jobs may run at a time.
            waited: Told how many seconds each job waited for its turn.
            computed: Told of each batch of model work: its rows, and the jobs they are of.
            throttle: Told of jobs that wait or run.
        """
        self._throttle = throttle or Throttle()
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=queue_size)
        self._waited = waited
        self._computed = computed
        self._running = 0
        self._counting = threading.Lock()
        # Of jobs that had others ahead of them: how long they took, and waited for each of those.
        self._mean_seconds = 0.0
        self._mean_place = 0.0
        self._learnt = 0.0  # when
        self._closed = False
        self._closing = threading.Lock()  # nothing is queued behind the mark that ends a thread
        # Daemons, so that a process interrupted while it compiles need not wait for that.
        self._threads = [
            threading.Thread(target=self._run_jobs, name=f"engine-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return self._jobs.qsize()

    @property
    def running(self) -> int:
        """Jobs that run."""
        return self._running

    @property
    def overloaded(self) -> OverloadedError | None:
        """What a job would be refused with now; None while there is room."""
        return self._refusal() if self._jobs.full() else None

    async def run(self, work: Callable[[], Answer], deadline: float | None = None) -> Answer:
        """Runs `work` on a thread and returns what it returns, or raises what it raises.

        Args:
            work: The job. Cancelling this coroutine drops it, or what is left of its model work.
            deadline: Absolute time.monotonic() seconds; None waits for as long as it takes.

        Raises:
            DeadlineExceededError: The deadline passed before the job's turn came.
            OverloadedError: The queue is full, or too long for the deadline.
            StoppingError: The worker was closed.
        """
        queued = time.monotonic()
        if deadline is not None and queued >= deadline:
            raise DeadlineExceededError("the deadline passed before the work began")
        future: Future[Answer] = Future()
        caller = CallContext(deadline, self._computed, waiting=self._jobs.qsize)
        with self._closing:
            if self._closed:
                raise StoppingError("the server is going down")
            ahead = self._jobs.qsize()
            if ahead and deadline is not None and queued + self._seconds_behind(ahead) > deadline:
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
        """Takes no more work, finishes what waits and ends the threads. Blocks until it has."""
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
            del job  # it would keep its engine until the next one comes

    def _count(self, more: int) -> None:
        with self._counting:
            self._running += more

    def _run_job(
        self,
        work: Callable[[], Answer],
        caller: CallContext,
        future: Future[Answer],
        queued: float,
        ahead: int,
    ) -> None:
        begun = time.monotonic()
        if self._waited is not None:
            self._waited(begun - queued)
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
        if ahead:  # else it says nothing of a time in which jobs wait
            place, took = (begun - queued) / (ahead + 1), time.monotonic() - begun
            self._mean_place += _NEWEST_SHARE * (place - self._mean_place)
            self._mean_seconds += _NEWEST_SHARE * (took - self._mean_seconds)
            self._learnt = time.monotonic()

    def _seconds_behind(self, ahead: int) -> float:
        """Returns when a job that has so many ahead of it in the queue is likely to be done."""
        believed: float = 0.5 ** ((time.monotonic() - self._learnt) / _HALF_LIFE_SECONDS)
        return believed * ((ahead + 1) * self._mean_place + self._mean_seconds)

    def _refusal(self) -> OverloadedError:
        """Returns an error that says how long half of the queue takes, from 0.1 to 10 seconds."""
        return OverloadedError(min(max(self._jobs.qsize() * self._mean_place / 2, 0.1), 10.0))
