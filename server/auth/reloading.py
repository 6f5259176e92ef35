"""Files that are read again while the server runs; the last valid content stays in use."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from base.errors import InputError

logger = logging.getLogger(__name__)

Content = TypeVar("Content")
Value = TypeVar("Value")


class ReloadedFiles(Generic[Content, Value]):
    """A value made from files, made again when their content changes.

    Safe to use from any thread.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Content],
        make: Callable[[Content], Value],
        interval_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the files and make the first value.

        Args:
            name: What the files hold, for the log.
            read: Reads the files. Their times would not do: two changes may fall into one tick.
            make: Makes the value. Like `read`, it raises InputError when the files are not valid.
            interval_seconds: How long to wait after one reading before the next.
            clock: Measures the interval, in seconds.

        Raises:
            InputError: The files are not valid.
        """
        self._name, self._read, self._make = name, read, make
        self._interval_seconds, self._clock = interval_seconds, clock
        self._lock = threading.Lock()
        self._content = read()
        self._value = make(self._content)
        self._next = clock() + interval_seconds
        self._logged_problem = ""

    def value(self) -> Value:
        """Return the value of the current files, or of the last valid ones."""
        with self._lock:
            if self._clock() >= self._next:
                try:
                    self._reload()
                except InputError as error:
                    self._log_problem(str(error))
                self._next = self._clock() + self._interval_seconds
            return self._value

    def _reload(self) -> None:
        content = self._read()
        if content == self._content:
            return
        self._value = self._make(content)
        self._content = content
        self._logged_problem = ""
        logger.info("%s: reloaded", self._name)

    def _log_problem(self, problem: str) -> None:
        if problem != self._logged_problem:  # once, not for every call
            logger.error("%s: not reloaded, the last valid content stays: %s", self._name, problem)
            self._logged_problem = problem
