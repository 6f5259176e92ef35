"""Batching: one thread runs the model work of all concurrent requests.

Requests run on threads of their own and queue work here when they need a model. While one batch
runs, more work queues behind it, so batches fill by themselves. The model thread waits for more
work in one case: before each chunk, requests that wait for a CPU go first, for up to 0.1 s
(`cpu_limit`). A single request never makes it wait; sixteen that only encode make it wait 26 to
31 ms (medians, on two cores).

Work runs in chunks of a token budget. Encoding a query comes before the next chunk of any other
work. Background work, which no request waits for, comes last and in smaller chunks. All other work
takes turns by arrival. A row's padded length depends on that row alone, so the other rows of its
batch change its result only by rounding.
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

from bert.compiled import BucketedForward, Forward, Rows
from search.errors import DeadlineExceededError
from search.runtime.cpu_limit import hold_cpu, release_cpu

_TURNS = 4  # after other work ran this many times in a row, waiting work has its turn
_BACKGROUND = 9  # the priority of background work, behind all others
# While there are requests, a chunk of background work takes at most this long;
_BACKGROUND_SECONDS = 0.005
# and there are requests until this long after the last chunk of one.
_REQUEST_SECONDS = 1.0

Numbers: TypeAlias = Int64[np.ndarray, "_"]


class CallContext:
    """The request behind some model work: until when it needs the result, and if it still does."""

    def __init__(
        self,
        deadline: float | None = None,
        on_batch: Callable[[int, int], None] | None = None,
        parent: "CallContext | None" = None,
        background: bool = False,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        """Describe a request, or a part of one.

        Args:
            deadline: When the result is of no use any more, in seconds of `time.monotonic()`; None
                for never.
            on_batch: Called once per batch that this request leads, with the numbers of rows and of
                jobs in the batch; the parent's if None.
            parent: The request that this is an earlier part of; this is cancelled with it.
            background: No request waits for the result, so the work of requests comes first.
            waiting: Returns how many requests wait behind this one.
        """
        if on_batch is None and parent is not None:
            on_batch = parent.on_batch
        self.on_batch: Callable[[int, int], None] | None = on_batch
        self.background = background
        self.waiting = waiting
        self._deadline = deadline
        self._parent = parent
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more, whatever the deadline."""
        return self._cancelled or (self._parent is not None and self._parent.cancelled)

    def cancel(self) -> None:
        """Drop the work: nobody waits for the result any more."""
        self._cancelled = True

    def expired(self, seconds: float = 0.0) -> bool:
        """Whether a result in so many seconds is of no use."""
        late = self._deadline is not None and time.monotonic() + seconds >= self._deadline
        parent = self._parent
        return self.cancelled or late or (parent is not None and parent.expired(seconds))


_context: ContextVar[CallContext | None] = ContextVar("call_context", default=None)


@contextmanager
def call_scope(context: CallContext) -> Iterator[None]:
    """Run model work for a request, so that it is dropped once nobody waits for the result."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


def current_context() -> CallContext | None:
    """Return the request that this thread works for; None outside `call_scope`."""
    return _context.get()


class _Job:
    """Rows that one request waits for."""

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
        # Rows still to run, by padded length.
        self.left = {
            forward.lengths[bucket]: np.flatnonzero(buckets == bucket)
            for bucket in np.unique(buckets).tolist()
        }

    def take(self, length: int, most: int) -> Numbers:
        """Remove and return rows of a length that are still to run."""
        rows = self.left.pop(length, np.empty(0, np.int64))
        if len(rows) > most:
            self.left[length] = rows[most:]
        return rows[:most]

    def seconds(self) -> float:
        """Estimate how long the rows still to run take."""
        rows_by_length = list(self.left.items())
        return sum((self.forward.seconds_of(len(rows), n) for n, rows in rows_by_length), 0.0)

    def expired(self) -> bool:
        """Whether the result is of no use to the request any more."""
        least = min((self.forward.least_seconds(length) for length in self.left), default=0.0)
        return self.context is not None and self.context.expired(least)

    def fill(self, rows: Numbers, values: np.ndarray) -> None:
        """Store results of some rows; the last ones wake the request."""
        if self.result is None:
            self.result = np.empty((len(self.tokenised), *values.shape[1:]), values.dtype)
        self.result[rows] = values
        self._unfilled -= len(rows)
        if not self._unfilled:
            self.done.set()

    def fail(self, error: BaseException) -> None:
        """Give up, and raise an error in the request's thread."""
        self.error = error
        self.left.clear()
        self.done.set()


@dataclass(frozen=True)
class _Chunk:
    """Rows of one model and one padded length, of one or more jobs."""

    forward: BucketedForward
    length: int
    parts: list[tuple[_Job, Numbers]]

    def seconds(self) -> float:
        """Estimate how long the chunk takes."""
        return self.forward.seconds_of(sum(len(rows) for _, rows in self.parts), self.length)

    def run(self) -> None:
        """Run the rows and give the results to their jobs."""
        padded = [job.tokenised.pad(rows, self.length, len(rows)) for job, rows in self.parts]
        kind = type(padded[0])
        tokens = [np.concatenate(arrays) for arrays in zip(*padded, strict=True)]
        results: list[np.ndarray] = []
        begin, total = 0, len(tokens[0])
        while begin < total:
            batch = self.forward.batch_size(total - begin, self.length)
            some = [array[begin : begin + batch] for array in tokens]
            room = ((0, batch - len(some[0])), (0, 0))
            full = kind(*(np.pad(array, room) for array in some))
            started = time.perf_counter()
            results.append(np.asarray(self.forward.start(full))[: len(some[0])])
            self.forward.measured((batch, self.length), time.perf_counter() - started)
            begin += len(some[0])
        leader = self.parts[0][0].context
        if leader is not None and leader.on_batch is not None:
            leader.on_batch(total, len(self.parts))
        values, begin = np.concatenate(results), 0
        for job, rows in self.parts:
            job.fill(rows, values[begin : begin + len(rows)])
            begin += len(rows)


@dataclass(frozen=True)
class _BatchedForward:
    """A model that runs in a batcher, with a priority."""

    batcher: "Batcher"
    forward: BucketedForward
    priority: int

    def __call__(self, tokenised: Rows) -> Num[np.ndarray, "rows ..."]:
        return self.batcher.run(self.forward, tokenised, self.priority)

    def seconds(self, lengths: Int64[np.ndarray, " rows"]) -> float:
        return self.batcher.backlog() + self.forward.seconds(lengths)


class Batcher:
    """Runs the model work of all requests on one thread."""

    def __init__(self) -> None:
        """Start the thread."""
        self._queues: dict[int, list[_Job]] = {}
        self._passed_over: dict[int, int] = {}  # turns in a row, by priority
        self._request_ran = 0.0  # when a chunk of a request last began
        self._arrived = threading.Condition()
        self._closed = False
        self._free_from = 0.0  # when the running chunk is expected to end
        # A daemon, so that an interrupted process does not wait for a compilation.
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def shared(self, priority: int) -> Callable[[BucketedForward], Forward]:
        """Return a function that makes a model run here; a lower number has its turn earlier."""
        return lambda forward: _BatchedForward(self, forward, priority)

    def backlog(self) -> float:
        """Estimate how many seconds the running chunk and the queued work of requests take."""
        with self._arrived:
            queues = [queue for p, queue in self._queues.items() if p != _BACKGROUND]
            jobs = [job for queue in queues for job in queue]
            waiting = sum((job.seconds() for job in jobs), 0.0)
        return max(self._free_from - time.monotonic(), 0.0) + waiting

    def finish(self) -> None:
        """Let the thread end after the queued work; return at once."""
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
                with hold_cpu(last=True):  # requests that are about to queue work share the chunk
                    self._run_next()
        except BaseException as error:  # a bug here must not leave requests waiting for ever
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
            self._free_from = time.monotonic() + chunk.seconds()
            chunk.run()
        except Exception as error:  # the thread must outlive every chunk
            for job, _ in chunk.parts:
                job.fail(error)

    def _priorities(self) -> list[int]:
        """Return the priorities with work, the most urgent first; drop expired work."""
        self._queues = {p: _without_expired(self._queues[p]) for p in sorted(self._queues)}
        return [priority for priority, queue in self._queues.items() if queue]

    def _turn(self, waiting: list[int]) -> int:
        """Return whose turn it is: the most urgent priority, or one that waited for `_TURNS`."""
        passed_over = {p: self._passed_over.get(p, 0) for p in waiting}
        turn = next((p for p in waiting if passed_over[p] >= _TURNS), waiting[0])
        self._passed_over = {p: passed_over[p] + 1 for p in waiting if p != turn}
        return turn

    def _chunk_of(self, priority: int) -> _Chunk:
        """Return the next chunk of a priority, a short one for background work beside requests."""
        now = time.monotonic()
        if priority != _BACKGROUND:
            self._request_ran = now
        if priority != _BACKGROUND or now - self._request_ran > _REQUEST_SECONDS:
            return _first_of(self._queues[priority])
        return _first_of(self._queues[priority], _BACKGROUND_SECONDS)


def _without_expired(queue: list[_Job]) -> list[_Job]:
    """Return the jobs with rows left; fail those that expired."""
    for job in queue:
        if job.left and job.expired():
            job.fail(DeadlineExceededError("the deadline passed before the answer was ready"))
    return [job for job in queue if job.left]


def _first_of(queue: list[_Job], seconds: float = math.inf) -> _Chunk:
    """Return the first job's next rows, and rows of other jobs for the same model and length.

    The chunk takes no longer than some seconds, unless the smallest batch of that length does.
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
