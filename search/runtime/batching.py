"""Model work of concurrent calls, joined: one thread runs what all of them wait for.

Calls run on threads of their own and meet here when they need a model. While one batch is computed
others collect behind it, so batches fill by themselves. Work waits for company in one case: before
each chunk, calls that wait for a core go first, for up to 0.1 s (`cpu_limit`). With one caller
none do; sixteen that only encode make it wait 26 to 31 ms (medians, on two cores). Work goes in
chunks of a token budget: encoding a query comes before the next chunk of anything else, what no
caller waits for comes behind it, in smaller chunks, and the rest takes turns by arrival. A row is
padded to a length that depends on it alone, so what shares its batch changes its result by rounding
only.
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
from search.runtime.cpu_limit import computing, resting

_TURNS = 4  # so often work is passed over for other, then it has its turn
_BACKGROUND = 9  # the priority of work that no caller waits for, behind all others
# What a chunk of it may take while there are calls, and how long after the last one there are some.
_BACKGROUND_SECONDS, _CALLS_SECONDS = 0.005, 1.0

Numbers: TypeAlias = Int64[np.ndarray, "_"]


class Caller:
    """Whom a piece of work is for."""

    def __init__(
        self,
        deadline: float | None = None,
        computed: Callable[[int, int], None] | None = None,
        on_behalf_of: "Caller | None" = None,
        background: bool = False,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        """Still there until `leave`.

        Args:
            deadline: On the clock of `time.monotonic()`, in seconds; None waits for ever.
            computed: Told of each batch whose first rows were this caller's: how many rows there
                were, and of how many pieces of work.
            on_behalf_of: Who leaves along, for a part of their work that must be ready earlier.
            background: Nobody waits for the answer, so the work of those who do comes first.
            waiting: Says how many calls wait behind this one.
        """
        if computed is None and on_behalf_of is not None:
            computed = on_behalf_of.computed
        self.computed: Callable[[int, int], None] | None = computed
        self.background = background
        self.waiting = waiting
        self._deadline = deadline
        self._on_behalf_of = on_behalf_of
        self._left = False

    @property
    def left(self) -> bool:
        """Whether nobody waits for the answer any more, however early it came."""
        return self._left or (self._on_behalf_of is not None and self._on_behalf_of.left)

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        self._left = True

    def gone(self, seconds: float = 0.0) -> bool:
        """Whether an answer that takes so many more seconds would come too late."""
        late = self._deadline is not None and time.monotonic() + seconds >= self._deadline
        behind = self._on_behalf_of
        return self.left or late or (behind is not None and behind.gone(seconds))


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Say whom the model work inside is for, so that it can be dropped once they have gone."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


def current_caller() -> Caller | None:
    """Whom the work of this thread is for, where `calling` has said so."""
    return _caller.get()


class _Job:
    """Rows that one caller waits for."""

    def __init__(self, forward: BucketedForward, tokenised: Rows, caller: Caller | None) -> None:
        self.forward = forward
        self.tokenised = tokenised
        self.caller = caller
        self.error: BaseException | None = None
        self.result: np.ndarray | None = None
        self.done = threading.Event()
        self._unfilled = len(tokenised)
        buckets = forward.buckets(tokenised.lengths)
        # Rows that are still to be run, by the length they are padded to.
        self.left = {
            forward.lengths[bucket]: np.flatnonzero(buckets == bucket)
            for bucket in np.unique(buckets).tolist()
        }

    def take(self, length: int, most: int) -> Numbers:
        """Rows of a length that are still to be run, which then no longer are."""
        rows = self.left.pop(length, np.empty(0, np.int64))
        if len(rows) > most:
            self.left[length] = rows[most:]
        return rows[:most]

    def seconds(self) -> float:
        """What is left is expected to take."""
        rows_of = list(self.left.items())
        return sum((self.forward.seconds_of(len(rows), n) for n, rows in rows_of), 0.0)

    def gone(self) -> bool:
        """Whether what is left would be of no use to the caller."""
        least = min((self.forward.least_seconds(length) for length in self.left), default=0.0)
        return self.caller is not None and self.caller.gone(least)

    def fill(self, rows: Numbers, values: np.ndarray) -> None:
        """Put results in their places; the last of them wakes the caller."""
        if self.result is None:
            self.result = np.empty((len(self.tokenised), *values.shape[1:]), values.dtype)
        self.result[rows] = values
        self._unfilled -= len(rows)
        if not self._unfilled:
            self.done.set()

    def fail(self, error: BaseException) -> None:
        """Give up, and let the caller know why."""
        self.error = error
        self.left.clear()
        self.done.set()


@dataclass(frozen=True)
class _Chunk:
    """Rows of one model and one padded length, of one or more callers."""

    forward: BucketedForward
    length: int
    parts: list[tuple[_Job, Numbers]]

    def seconds(self) -> float:
        """What it is expected to take."""
        return self.forward.seconds_of(sum(len(rows) for _, rows in self.parts), self.length)

    def run(self) -> None:
        """Compute the rows and hand the results out."""
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
            begun = time.perf_counter()
            results.append(np.asarray(self.forward.start(full))[: len(some[0])])
            self.forward.measured((batch, self.length), time.perf_counter() - begun)
            begin += len(some[0])
        caller = self.parts[0][0].caller
        if caller is not None and caller.computed is not None:
            caller.computed(total, len(self.parts))
        values, begin = np.concatenate(results), 0
        for job, rows in self.parts:
            job.fill(rows, values[begin : begin + len(rows)])
            begin += len(rows)


@dataclass(frozen=True)
class _Shared:
    """A model that runs in a batcher, with a priority."""

    batcher: "Batcher"
    forward: BucketedForward
    priority: int

    def __call__(self, tokenised: Rows) -> Num[np.ndarray, "rows ..."]:
        return self.batcher.run(self.forward, tokenised, self.priority)

    def seconds(self, lengths: Int64[np.ndarray, " rows"]) -> float:
        return self.batcher.backlog() + self.forward.seconds(lengths)


class Batcher:
    """Runs model work for many callers on one thread."""

    def __init__(self) -> None:
        """Start the thread."""
        self._queues: dict[int, list[_Job]] = {}
        self._passed_over: dict[int, int] = {}  # turns in a row, by priority
        self._called = 0.0  # when a chunk was last run that somebody waited for
        self._arrived = threading.Condition()
        self._closed = False
        self._free_from = 0.0  # when the chunk under way is expected to be done
        # A daemon, so that a process interrupted while it compiles need not wait for that.
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def shared(self, priority: int) -> Callable[[BucketedForward], Forward]:
        """A way to run a model here; the lower the number, the earlier its turn comes."""

        return lambda forward: _Shared(self, forward, priority)

    def backlog(self) -> float:
        """Seconds that what is under way and calls wait for is expected to take."""
        with self._arrived:
            queues = [queue for p, queue in self._queues.items() if p != _BACKGROUND]
            jobs = [job for queue in queues for job in queue]
            waiting = sum((job.seconds() for job in jobs), 0.0)
        return max(self._free_from - time.monotonic(), 0.0) + waiting

    def finish(self) -> None:
        """End the thread once it has finished what waits; do not wait for that."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()

    def close(self) -> None:
        """Finish what waits and end the thread."""
        self.finish()
        self._thread.join()

    def run(
        self, forward: BucketedForward, tokenised: Rows, priority: int
    ) -> Num[np.ndarray, "rows ..."]:
        """A model's result for every row, once the turn of all of them has come."""
        if not len(tokenised):
            return forward(tokenised)
        caller = current_caller()
        if caller is not None and caller.background:
            priority = _BACKGROUND
        job = _Job(forward, tokenised, caller)
        with self._arrived:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._queues.setdefault(priority, []).append(job)
            self._arrived.notify()
        with resting():
            job.done.wait()
        if job.error is not None:
            raise job.error
        assert job.result is not None
        return job.result

    def _work(self) -> None:
        try:
            while self._anything_waits():
                with computing(last=True):  # callers that are about to ask share the chunk
                    self._run_next()
        except BaseException as error:  # a fault in here must not leave callers waiting for ever
            with self._arrived:
                self._closed = True
                for job in (job for queue in self._queues.values() for job in queue):
                    job.fail(error)
            raise

    def _anything_waits(self) -> bool:
        """Waits for work; False once the batcher is closed and nothing is left."""
        with self._arrived:
            while not self._priorities():
                if self._closed:
                    return False
                self._arrived.wait()
        return True

    def _run_next(self) -> None:
        """Run the next chunk, if there still is one."""
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
        """Which have work, the most urgent first; what is of no use any more is dropped."""
        self._queues = {p: _waiting(self._queues[p]) for p in sorted(self._queues)}
        return [priority for priority, queue in self._queues.items() if queue]

    def _turn(self, waiting: list[int]) -> int:
        """Which priority's turn it is: the most urgent, or one that was passed over for long."""
        passed_over = {p: self._passed_over.get(p, 0) for p in waiting}
        turn = next((p for p in waiting if passed_over[p] >= _TURNS), waiting[0])
        self._passed_over = {p: passed_over[p] + 1 for p in waiting if p != turn}
        return turn

    def _chunk_of(self, priority: int) -> _Chunk:
        """The next chunk of a priority; one that nobody waits for must not keep calls waiting."""
        now = time.monotonic()
        if priority != _BACKGROUND:
            self._called = now
        if priority != _BACKGROUND or now - self._called > _CALLS_SECONDS:
            return _first_of(self._queues[priority])
        return _first_of(self._queues[priority], _BACKGROUND_SECONDS)


def _waiting(queue: list[_Job]) -> list[_Job]:
    """Jobs with rows left, without those whose callers have gone."""
    for job in queue:
        if job.left and job.gone():
            job.fail(DeadlineExceededError("the deadline passed before the answer was ready"))
    return [job for job in queue if job.left]


def _first_of(queue: list[_Job], seconds: float = math.inf) -> _Chunk:
    """What the first job needs next, filled up with what others have of the same kind.

    It takes no more than so many seconds, unless the smallest batch of that length does.
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
