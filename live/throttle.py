"""Requests come first: a process that builds an index is paused while requests are answered.

This process's own work in short steps waits for them too. A low priority is not enough: two
processors are often two halves of one core. Even an idle priority gets one of them, and whatever
runs on the other then takes nearly twice as long.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PAUSED_SHARE = 0.75  # of a round; after a round with longer pauses the process runs unpaused
_RUN_SHARE = 0.3  # of a round: how long it then runs


class Throttle:
    """Counts requests under way, and pauses other work for them; safe to use from any thread."""

    def __init__(self, round_seconds: float = 0.5) -> None:
        """Begin with no requests and no process.

        Args:
            round_seconds: The longest wait of one step; the time over which pauses are counted.
        """
        self._round_seconds = round_seconds
        self._lock = threading.Lock()
        self._requests = 0
        self._quiet = threading.Event()
        self._quiet.set()
        self._process: subprocess.Popen[str] | None = None  # that may be paused now
        self._paused_at: float | None = None
        self._paused_seconds = 0.0  # of all pauses that have ended

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while a caller waits for its answer."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def give_way(self) -> None:
        """Wait while there are requests, at most one round; called before each step of other work.

        Steps of a few hundredths of a second then take less than a tenth of the time.
        """
        self._quiet.wait(self._round_seconds)

    def wait(self, process: "subprocess.Popen[str]", stop: threading.Event) -> str | None:
        """Wait until a process ends, pausing it while there are requests, but never for long.

        Returns:
            What the process wrote to standard error; None if `stop` was set first, and the process
            still runs.
        """
        try:
            while not stop.is_set():
                paused_before = self._paused_seconds
                self._pause_for_requests(process)
                try:
                    return process.communicate(timeout=self._round_seconds)[1]
                except subprocess.TimeoutExpired:
                    self._pause_for_requests(None)
                paused = self._paused_seconds - paused_before
                if paused > _PAUSED_SHARE * self._round_seconds:
                    stop.wait(_RUN_SHARE * self._round_seconds)
            return None
        finally:
            self._pause_for_requests(None)

    def _count(self, change: int) -> None:
        with self._lock:
            self._requests += change
            if self._requests:
                self._quiet.clear()
            else:
                self._quiet.set()
            self._update()

    def _pause_for_requests(self, process: "subprocess.Popen[str] | None") -> None:
        """Pause a process for requests from now on; None: let the present one run."""
        with self._lock:
            if process is None:
                self._resume()
            self._process = process
            self._update()

    def _update(self) -> None:
        """Pause or resume the process as the number of requests demands."""
        if not self._requests:
            self._resume()
        elif self._process is not None and self._paused_at is None:
            self._process.send_signal(signal.SIGSTOP)
            self._paused_at = time.monotonic()

    def _resume(self) -> None:
        if self._process is not None and self._paused_at is not None:
            self._process.send_signal(signal.SIGCONT)
            self._paused_seconds += time.monotonic() - self._paused_at
            self._paused_at = None
