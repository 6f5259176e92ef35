"""Reload files while the server runs, and keep the last valid content."""

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
    """A value that is computed from files, and computed again when their content changes.

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
        """Read the files and compute the first value.

        Args:
            name: The name of the files in the log.
            read: Reads the files; raises InputError if they cannot be read. A change is detected by
                content, because two versions of a file can have the same modification time.
            make: Computes the value from the content; raises InputError if the content is invalid.
            interval_seconds: The shortest time between two reads.
            clock: Measures the interval, in seconds.

        Raises:
            InputError: The files cannot be read or are invalid.
        """
        self._name, self._read, self._make = name, read, make
        self._interval_seconds, self._clock = interval_seconds, clock
        self._lock = threading.Lock()
        self._content = read()
        self._value = make(self._content)
        self._next = clock() + interval_seconds
        self._logged_problem = ""

    def value(self) -> Value:
        """Return the value of the current files, or of the last valid content."""
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
        logger.info("files reloaded", extra={"fields": {"files": self._name}})

    def _log_problem(self, problem: str) -> None:
        if problem != self._logged_problem:  # log each problem once, not for every call
            fields = {"files": self._name, "reason": problem}
            logger.error(
                "files not reloaded, the last valid content stays", extra={"fields": fields}
            )
            self._logged_problem = problem
