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


_free = threading.Semaphore(_cores())
_this_thread = threading.local()


@contextmanager
def computing() -> Iterator[None]:
    """Compute, once a core is free. Whoever waits for other threads inside does so `resting`."""
    with _free:
        _this_thread.computes = True
        try:
            yield
        finally:
            _this_thread.computes = False


@contextmanager
def resting() -> Iterator[None]:
    """Wait for other threads: a core that this one computes on is free meanwhile."""
    if not getattr(_this_thread, "computes", False):
        yield
        return
    _free.release()
    try:
        yield
    finally:
        _free.acquire()
