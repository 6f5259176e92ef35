"""The CPU limit: no more request threads compute at a time than there are CPUs.

More threads would get no more done. They would all want Python's lock, and the event loop, which
receives, refuses and answers requests, would wait for the lock behind every one of them.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def _cpu_count() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CpuLimit:
    """A semaphore of CPUs, in which a thread can let all others go first.

    Attributes:
        waiting: Threads that wait for a CPU, without those that let others go first.
    """

    def __init__(self, free: int, patience_seconds: float = 0.1) -> None:
        """Begin with some free CPUs.

        Args:
            free: How many.
            patience_seconds: How long a thread lets others go first.
        """
        lock = threading.Lock()
        self._free = free
        self._patience_seconds = patience_seconds
        self.waiting = 0
        self._line, self._last = threading.Condition(lock), threading.Condition(lock)

    def acquire(self, *, last: bool = False) -> None:
        """Wait for a free CPU and take it; with `last`, let others go first for a while."""
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
    """Hold a CPU while computing; wait for other threads inside `release_cpu`.

    Args:
        last: Let all other threads go first, for up to a tenth of a second: the work serves many
            requests, and gets cheaper with each that joins.
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
    """Free the CPU that this thread holds while it waits for other threads."""
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
