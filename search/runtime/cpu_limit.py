"""Cores: of the threads that work for calls, as many compute at a time as there are cores.

More would get no more done. All of them would want Python's lock, and the event loop, which takes
calls in, refuses them and sends what they ask for, would wait for it behind every one.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Cores:
    """Cores that are free, and who waits for one.

    Attributes:
        waiting: How many do.
    """

    def __init__(self, free: int, patience_seconds: float = 0.1) -> None:
        lock = threading.Lock()
        self._free = free
        self._patience_seconds = patience_seconds
        self.waiting = 0
        self._line, self._last = threading.Condition(lock), threading.Condition(lock)

    def take(self, *, last: bool = False) -> None:
        """Wait for a core; if `last` then until nobody else waits, but not for long."""
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

    def give(self) -> None:
        """A core is free."""
        with self._line:
            self._free += 1
            self._wake()

    def _wake(self) -> None:
        (self._line if self.waiting else self._last).notify()


_CORES = _Cores(_cores())
_this_thread = threading.local()


@contextmanager
def computing(*, last: bool = False) -> Iterator[None]:
    """Compute, once a core is free. Whoever waits for other threads inside does so `resting`.

    Args:
        last: Let whoever else waits for a core go first, up to a tenth of a second: what is
            computed is for many, and gets cheaper by each that joins.
    """
    assert not getattr(_this_thread, "computes", False), "a thread computes on one core"
    _CORES.take(last=last)
    _this_thread.computes = True
    try:
        yield
    finally:
        _this_thread.computes = False
        _CORES.give()


@contextmanager
def resting() -> Iterator[None]:
    """Wait for other threads: a core that this one computes on is free meanwhile."""
    if not getattr(_this_thread, "computes", False):
        yield
        return
    _CORES.give()
    _this_thread.computes = False
    try:
        yield
    finally:
        _CORES.take()
        _this_thread.computes = True
