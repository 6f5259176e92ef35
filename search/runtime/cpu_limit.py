"""The CPU limit: at most one request thread per CPU computes at a time.

More threads would not finish more work, because all of them need Python's global interpreter lock.
The event loop, which receives and answers requests, would wait for that lock behind all of them.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def _cpu_count() -> int:
    if hasattr(os, "sched_getaffinity"):  # macOS lacks this function
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CpuLimit:
    """A semaphore that counts free CPUs; a thread can let all other threads go first.

    Attributes:
        waiting: Number of threads that wait for a CPU, except threads that let others go first.
    """

    def __init__(self, free: int, patience_seconds: float = 0.1) -> None:
        """Start with a number of free CPUs.

        Args:
            free: Number of free CPUs.
            patience_seconds: Longest time that a thread lets others go first.
        """
        lock = threading.Lock()
        self._free = free
        self._patience_seconds = patience_seconds
        self.waiting = 0
        self._line, self._last = threading.Condition(lock), threading.Condition(lock)

    def acquire(self, *, last: bool = False) -> None:
        """Wait for a free CPU and take it.

        With `last`, other threads go first, for up to `patience_seconds`.
        """
        with self._line:
            if last:
                self._last.wait_for(lambda: self._free and not self.waiting, self._patience_seconds)
            self.waiting += 1
            while not self._free:
                self._line.wait()
            self.waiting -= 1
            self._free -= 1
            if self._free:
                self._wake()

    def release(self) -> None:
        """Free a CPU."""
        with self._line:
            self._free += 1
            self._wake()

    def _wake(self) -> None:
        (self._line if self.waiting else self._last).notify()


_LIMIT = CpuLimit(_cpu_count())
_this_thread = threading.local()


@contextmanager
def hold_cpu(*, last: bool = False) -> Iterator[None]:
    """Hold a CPU while computing. Use `release_cpu` around waits for other threads.

    Args:
        last: Let all other threads go first, for up to 0.1 s. The model thread does this, because
            the cost per request falls when more requests share a batch.
    """
    assert not getattr(_this_thread, "holds_cpu", False), "a thread holds one CPU at most"
    _LIMIT.acquire(last=last)
    _this_thread.holds_cpu = True
    try:
        yield
    finally:
        _this_thread.holds_cpu = False
        _LIMIT.release()


@contextmanager
def release_cpu() -> Iterator[None]:
    """Release this thread's CPU during a wait for other threads; then take a CPU again."""
    if not getattr(_this_thread, "holds_cpu", False):
        yield
        return
    _LIMIT.release()
    _this_thread.holds_cpu = False
    try:
        yield
    finally:
        _LIMIT.acquire()
        _this_thread.holds_cpu = True
