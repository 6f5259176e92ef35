"""Give requests priority: pause other work while the server answers requests.

A child process that builds an index is stopped and resumed by signals. Other work of this process
runs in short steps, and waits before each step. A low priority is not enough, because two logical
processors often share one core. A process of idle priority still gets one of these processors, and
a request on the other one then takes nearly twice as long.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# If the process is paused for more than this share of a round, it then runs without pauses.
_PAUSED_SHARE = 0.75
_RUN_SHARE = 0.3  # how long the process then runs without pauses, as a share of a round


class Throttle:
    """Count running requests, and pause other work meanwhile. Safe to use from several threads."""

    def __init__(self, round_seconds: float = 0.5) -> None:
        """Start without requests and without a process.

        Args:
            round_seconds: The longest wait of `give_way`, and the length of a round of `wait`.
        """
        self._round_seconds = round_seconds
        self._lock = threading.Lock()
        self._requests = 0
        self._quiet = threading.Event()
        self._quiet.set()
        self._process: subprocess.Popen[str] | None = None  # the process to pause during requests
        self._paused_at: float | None = None
        self._paused_seconds = 0.0  # total length of the pauses that have ended

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one request until the `with` block ends."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def give_way(self) -> None:
        """Wait while there are requests, but at most one round. Call this before each step of work.

        If requests never end, the caller waits for one round before each step. Steps of a few
        hundredths of a second then run for less than 10% of the time.
        """
        self._quiet.wait(self._round_seconds)

    def wait(self, process: "subprocess.Popen[str]", stop: threading.Event) -> str | None:
        """Wait until a process ends; pause it while there are requests, but never for long.

        Returns:
            The text that the process wrote to standard error. None if `stop` was set first; then
            the process still runs.
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
        """Set the process to pause while there are requests; None resumes the present process."""
        with self._lock:
            if process is None:
                self._resume()
            self._process = process
            self._update()

    def _update(self) -> None:
        """Pause the process if there are requests; resume it if there are none."""
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
