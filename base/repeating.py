"""Work that a thread repeats."""

import logging
import threading
from collections.abc import Callable

from base.error_logging import RepeatedErrors

logger = logging.getLogger(__name__)


class Repeating:
    """Repeats a function on a thread of its own, with a pause between two calls."""

    def __init__(self, work: Callable[[], object], pause_seconds: float, name: str) -> None:
        """Start the thread; the first call comes after the first pause.

        Args:
            work: The function. The log names its errors, which do not end the thread.
            pause_seconds: Time from the end of a call to the next call.
            name: Name of the thread.
        """
        self._work = work
        self._pause_seconds = pause_seconds
        self._name = name
        self._errors = RepeatedErrors(logger)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for a running call, and end the thread."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._pause_seconds):
            try:
                self._work()
            except Exception as error:  # no failure may end the thread
                self._errors.log(error, f"{self._name} failed")
