"""Requests come first: a process that builds something is paused while any is answered.

So is what this process does beside them in short steps.

A low priority alone does not do that: two processors are often two halves of one core, of which
even an idle priority gets one, and what runs in the other takes nearly twice as long.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_ROUND_SECONDS = 0.5
_PAUSED_SHARE = 0.75  # of a round: after one with longer pauses the process runs, whatever comes,
_RUN_SECONDS = 0.15  # for so long


class Throttle:
    """Requests under way, and what gives way to them; safe to use from any thread."""

    def __init__(self) -> None:
        """No requests, and no process."""
        self._lock = threading.Lock()
        self._requests = 0
        self._quiet = threading.Event()
        self._quiet.set()
        self._process: subprocess.Popen[str] | None = None  # that may be paused now
        self._paused_at: float | None = None
        self._paused = 0.0  # seconds, up to the last time that it went on

    @contextmanager
    def request(self) -> Iterator[None]:
        """Somebody waits for an answer."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def give_way(self) -> None:
        """Wait while there are requests, but not for long; called before each step of other work.

        Steps of a few hundredths of a second then take less than a tenth of the time at most.
        """
        self._quiet.wait(_ROUND_SECONDS)

    def wait(self, process: "subprocess.Popen[str]", stop: threading.Event) -> str | None:
        """Wait until a process ends; it is paused while there are requests, but not for ever.

        Returns:
            What it wrote to standard error; None where `stop` came first, and it still runs.
        """
        try:
            while not stop.is_set():
                before = self._paused
                self._give_way(process)
                try:
                    return process.communicate(timeout=_ROUND_SECONDS)[1]
                except subprocess.TimeoutExpired:
                    self._give_way(None)
                if self._paused - before > _PAUSED_SHARE * _ROUND_SECONDS:
                    stop.wait(_RUN_SECONDS)
            return None
        finally:
            self._give_way(None)

    def _count(self, more: int) -> None:
        with self._lock:
            self._requests += more
            if self._requests:
                self._quiet.clear()
            else:
                self._quiet.set()
            self._signal()

    def _give_way(self, process: "subprocess.Popen[str] | None") -> None:
        """From now on, a process is paused for requests; with None, none is, and it goes on."""
        with self._lock:
            if process is None:
                self._resume()
            self._process = process
            self._signal()

    def _signal(self) -> None:
        if not self._requests:
            self._resume()
        elif self._process is not None and self._paused_at is None:
            self._process.send_signal(signal.SIGSTOP)
            self._paused_at = time.monotonic()

    def _resume(self) -> None:
        if self._process is not None and self._paused_at is not None:
            self._process.send_signal(signal.SIGCONT)
            self._paused += time.monotonic() - self._paused_at
            self._paused_at = None
