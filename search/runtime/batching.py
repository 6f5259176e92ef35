"""Batching: one thread runs the model work of all concurrent requests.

Each request has its own thread and queues its model work here. New work queues while a batch runs,
so the next batch fills without a delay. The model thread delays a chunk in only one case: if
requests wait for a CPU, the model thread lets them go first, for up to 0.1 s (see `cpu_limit`).
A single request causes no such delay. Sixteen requests that only encode cause a delay of 26 to 31
ms (medians, on two cores).

Work runs in chunks. A chunk has rows of one model and one padded length, and a limited number of
tokens. The encoding of queries runs before other work. Background work, which no request waits
for, runs last and in smaller chunks. Work of equal priority runs in order of arrival. A row's
padded length depends only on that row, so the other rows of its batch change its result only by
rounding.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, Num

from base.panics import panics_as_errors
from bert.compiled import BucketedForward, Forward, Rows
from search.errors import DeadlineExceededError
from search.runtime.cpu_limit import hold_cpu, release_cpu

_TURNS = 4  # a waiting priority runs after this many chunks of other priorities
_BACKGROUND = 9  # the lowest priority, for background work

Numbers: TypeAlias = Int64[np.ndarray, "_"]


class CallContext:
    """The request behind some model work: its deadline, and whether it was cancelled."""

    def __init__(
        self,
        deadline: float | None = None,
        on_batch: Callable[[int, int], None] | None = None,
        parent: "CallContext | None" = None,
        background: bool = False,
        waiting: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe a request, or a part of one.

        Args:
            deadline: Time from which the result is useless, in seconds of `clock`; None for no
                deadline.
            on_batch: Called once per batch whose first rows are from this request, with the numbers
                of rows and of jobs in the batch. None uses the function of `parent`.
            parent: The whole request, if this context is for a part of it. Cancelling the parent
                cancels the part.
            background: True if no request waits for the result. Background work runs after all work
                of requests.
            waiting: Returns the number of requests that are queued behind this one.
            clock: Returns the time in seconds.
        """
        if on_batch is None and parent is not None:
            on_batch = parent.on_batch
        self.on_batch: Callable[[int, int], None] | None = on_batch
        self.background = background
        self.waiting = waiting
        self._clock = clock
        self._deadline = deadline
        self._parent = parent
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the request or its parent was cancelled. A passed deadline does not count."""
        return self._cancelled or (self._parent is not None and self._parent.cancelled)

    def cancel(self) -> None:
        """Cancel the request, because nobody waits for its result; its queued work is dropped."""
        self._cancelled = True

    def expired(self, seconds: float = 0.0) -> bool:
        """Return whether a result that is ready in `seconds` seconds would be useless."""
        late = self._deadline is not None and self._clock() + seconds >= self._deadline
        parent = self._parent
        return self.cancelled or late or (parent is not None and parent.expired(seconds))


_context: ContextVar[CallContext | None] = ContextVar("call_context", default=None)


@contextmanager
def call_scope(context: CallContext) -> Iterator[None]:
    """Run model work for a request; the work is dropped if the request expires."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


def current_context() -> CallContext | None:
    """Return the request that this thread works for; None outside `call_scope`."""
    return _context.get()


class _Job:
    """Rows whose results one request waits for."""

    def __init__(
        self, forward: BucketedForward, tokenised: Rows, context: CallContext | None
    ) -> None:
        self.forward = forward
        self.tokenised = tokenised
        self.context = context
        self.error: BaseException | None = None
        self.result: np.ndarray | None = None
        self.done = threading.Event()
        self._unfilled = len(tokenised)
        buckets = forward.buckets(tokenised.lengths)
        # Rows that have not run yet, by padded length.
        self.left = {
            forward.lengths[bucket]: np.flatnonzero(buckets == bucket)
            for bucket in np.unique(buckets).tolist()
        }

    def take(self, length: int, most: int) -> Numbers:
        """Remove at most `most` rows of a padded length from the remaining rows; return them."""
        rows = self.left.pop(length, np.empty(0, np.int64))
        if len(rows) > most:
            self.left[length] = rows[most:]
        return rows[:most]

    def seconds(self) -> float:
        """Estimate the time for the rows that have not run yet."""
        rows_by_length = list(self.left.items())
        return sum((self.forward.seconds_of(len(rows), n) for n, rows in rows_by_length), 0.0)

    def expired(self) -> bool:
        """Return whether the result would be too late, or the request was cancelled."""
        least = min((self.forward.least_seconds(length) for length in self.left), default=0.0)
        return self.context is not None and self.context.expired(least)

    def fill(self, rows: Numbers, values: np.ndarray) -> None:
        """Store the results of some rows; wake the request once all rows have results."""
        if self.result is None:
            self.result = np.empty((len(self.tokenised), *values.shape[1:]), values.dtype)
        self.result[rows] = values
        self._unfilled -= len(rows)
        if not self._unfilled:
            self.done.set()

    def fail(self, error: BaseException) -> None:
        """Drop the remaining rows, and raise an error in the request's thread."""
        self.error = error
        self.left.clear()
        self.done.set()


@dataclass(frozen=True)
class _Chunk:
    """Rows for one model with one padded length, from one or more jobs."""

    forward: BucketedForward
    length: int
    parts: list[tuple[_Job, Numbers]]

    def seconds(self) -> float:
        """Estimate how long the chunk takes."""
        return self.forward.seconds_of(sum(len(rows) for _, rows in self.parts), self.length)

    def run(self) -> None:
        """Run the rows, and pass the results to the jobs of the rows."""
        padded = [job.tokenised.pad(rows, self.length, len(rows)) for job, rows in self.parts]
        kind = type(padded[0])
        tokens = [np.concatenate(arrays) for arrays in zip(*padded, strict=True)]
        results: list[np.ndarray] = []
        begin, total = 0, len(tokens[0])
        while begin < total:
            batch = self.forward.batch_size(total - begin, self.length)
            batch_tokens = [array[begin : begin + batch] for array in tokens]
            size = len(batch_tokens[0])
            padded_batch = kind(*(_with_rows(array, batch - size) for array in batch_tokens))
            started = time.perf_counter()
            results.append(np.asarray(self.forward.start(padded_batch))[:size])
            self.forward.measured((batch, self.length), time.perf_counter() - started)
            begin += size
        leader = self.parts[0][0].context
        if leader is not None and leader.on_batch is not None:
            leader.on_batch(total, len(self.parts))
        values, begin = np.concatenate(results), 0
        for job, rows in self.parts:
            job.fill(rows, values[begin : begin + len(rows)])
            begin += len(rows)


def _with_rows(array: np.ndarray, count: int) -> np.ndarray:
    """Append rows of zeros to an array."""
    return np.pad(array, [(0, count), *[(0, 0)] * (array.ndim - 1)])


@dataclass(frozen=True)
class _BatchedForward:
    """A model that runs in a batcher with a given priority."""

    batcher: "Batcher"
    forward: BucketedForward
    priority: int

    def __call__(self, tokenised: Rows) -> Num[np.ndarray, "rows ..."]:
        return self.batcher.run(self.forward, tokenised, self.priority)

    def seconds(self, lengths: Int64[np.ndarray, " rows"]) -> float:
        return self.batcher.backlog() + self.forward.seconds(lengths)


class Batcher:
    """Runs the model work of all requests on one thread."""

    def __init__(
        self,
        *,
        background_seconds: float = 0.005,
        request_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.

        Args:
            background_seconds: Longest expected time of a chunk of background work while requests
                are active.
            request_seconds: Requests count as active until this long after the latest chunk of any
                request began.
            clock: Returns the time in seconds.
        """
        self._background_seconds = background_seconds
        self._request_seconds = request_seconds
        self._clock = clock
        self._queues: dict[int, list[_Job]] = {}
        # For each waiting priority, how many chunks of other priorities ran since its last chunk.
        self._passed_over: dict[int, int] = {}
        self._request_ran = -math.inf  # time when the last chunk of a request began
        self._arrived = threading.Condition()
        self._closed = False
        self._free_from = 0.0  # expected end time of the running chunk
        # A daemon thread, so that an interrupted process does not wait for a compilation.
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def shared(self, priority: int) -> Callable[[BucketedForward], Forward]:
        """Return a function that routes a model through this batcher; priority 0 runs first."""
        return lambda forward: _BatchedForward(self, forward, priority)

    @property
    def queued(self) -> int:
        """Number of calls with work that has not started."""
        with self._arrived:
            return sum(bool(job.left) for queue in self._queues.values() for job in queue)

    def backlog(self) -> float:
        """Estimate how many seconds the running chunk and the queued work of requests take."""
        with self._arrived:
            queues = [queue for p, queue in self._queues.items() if p != _BACKGROUND]
            jobs = [job for queue in queues for job in queue]
            waiting = sum((job.seconds() for job in jobs), 0.0)
        return max(self._free_from - self._clock(), 0.0) + waiting

    def finish(self) -> None:
        """Let the thread end after the queued work, without waiting for the end."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()

    def close(self) -> None:
        """Finish the queued work and end the thread."""
        self.finish()
        self._thread.join()

    def run(
        self, forward: BucketedForward, tokenised: Rows, priority: int
    ) -> Num[np.ndarray, "rows ..."]:
        """Queue rows for a model, wait, and return the result of every row."""
        if not len(tokenised):
            return forward(tokenised)
        context = current_context()
        if context is not None and context.background:
            priority = _BACKGROUND
        job = _Job(forward, tokenised, context)
        with self._arrived:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._queues.setdefault(priority, []).append(job)
            self._arrived.notify()
        with release_cpu():
            job.done.wait()
        if job.error is not None:
            raise job.error
        assert job.result is not None
        return job.result

    def _work(self) -> None:
        try:
            while self._wait_for_work():
                with hold_cpu(last=True):  # requests go first and can add work to the chunk
                    self._run_next()
        except BaseException as error:  # a bug here must not let requests wait for ever
            with self._arrived:
                self._closed = True
                for job in (job for queue in self._queues.values() for job in queue):
                    job.fail(error)
            raise

    def _wait_for_work(self) -> bool:
        """Wait for work; return False once the batcher is closed and no work is left."""
        with self._arrived:
            while not self._priorities():
                if self._closed:
                    return False
                self._arrived.wait()
        return True

    def _run_next(self) -> None:
        """Run the next chunk, unless all work was dropped meanwhile."""
        with self._arrived:
            waiting = self._priorities()
            if not waiting:
                return
            chunk = self._chunk_of(self._turn(waiting))
        try:
            self._free_from = self._clock() + chunk.seconds()
            with panics_as_errors():
                chunk.run()
        except Exception as error:  # the thread must not end because one chunk fails
            for job, _ in chunk.parts:
                job.fail(error)

    def _priorities(self) -> list[int]:
        """Return the priorities with work, the most urgent first; drop expired work."""
        self._queues = {p: _without_expired(self._queues[p]) for p in sorted(self._queues)}
        return [priority for priority, queue in self._queues.items() if queue]

    def _turn(self, waiting: list[int]) -> int:
        """Return the priority to run next: the most urgent, or one passed over `_TURNS` times."""
        passed_over = {p: self._passed_over.get(p, 0) for p in waiting}
        turn = next((p for p in waiting if passed_over[p] >= _TURNS), waiting[0])
        self._passed_over = {p: passed_over[p] + 1 for p in waiting if p != turn}
        return turn

    def _chunk_of(self, priority: int) -> _Chunk:
        """Return the next chunk of a priority; background chunks are short while requests run."""
        now = self._clock()
        if priority != _BACKGROUND:
            self._request_ran = now
        if priority != _BACKGROUND or now - self._request_ran > self._request_seconds:
            return _first_of(self._queues[priority])
        return _first_of(self._queues[priority], self._background_seconds)


def _without_expired(queue: list[_Job]) -> list[_Job]:
    """Fail the expired jobs; return the other jobs that still have rows to run."""
    for job in queue:
        if job.left and job.expired():
            job.fail(DeadlineExceededError("the deadline passed before the answer was ready"))
    return [job for job in queue if job.left]


def _first_of(queue: list[_Job], seconds: float = math.inf) -> _Chunk:
    """Return a chunk of the first job's next rows and other rows of the same model and length.

    The chunk takes at most `seconds`, unless the smallest batch of that length takes longer.
    """
    forward, length = queue[0].forward, next(iter(queue[0].left))
    room = forward.rows_within(seconds, length)
    parts = []
    for job in queue:
        rows = job.take(length, room) if job.forward is forward else np.empty(0, np.int64)
        if len(rows):
            parts.append((job, rows))
            room -= len(rows)
    return _Chunk(forward, length, parts)
