"""Files that may be replaced while the server runs: what was made of the last sound ones counts."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from base.errors import InputError

logger = logging.getLogger(__name__)

Content = TypeVar("Content")
Value = TypeVar("Value")


class Rotating(Generic[Content, Value]):
    """A value made of files, made anew when their content changes. Safe to use from any thread."""

    def __init__(
        self,
        name: str,
        read: Callable[[], Content],
        make: Callable[[Content], Value],
        every_seconds: float = 0.0,
    ) -> None:
        """Make the value for the first time.

        Args:
            name: What the files hold, for the log.
            read: Reads the files; times would not do: two changes may fall into one tick.
            make: Makes the value; like `read`, it raises InputError for files that are no good.
            every_seconds: How long the files are left alone after they were read.

        Raises:
            InputError: the files are no good to begin with.
        """
        self._name, self._read, self._make = name, read, make
        self._every_seconds = every_seconds
        self._lock = threading.Lock()
        self._content = read()
        self._value = make(self._content)
        self._next = time.monotonic() + every_seconds
        self._complaint = ""

    def value(self) -> Value:
        """The value of the files as they are now; as they were last sound, where they are not."""
        with self._lock:
            if time.monotonic() >= self._next:
                try:
                    self._refresh()
                except InputError as error:
                    self._complain(str(error))
                self._next = time.monotonic() + self._every_seconds
            return self._value

    def _refresh(self) -> None:
        content = self._read()
        if content == self._content:
            return
        self._value = self._make(content)
        self._content = content
        self._complaint = ""
        logger.info("%s: new ones are in use", self._name)

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:  # once, not for every call
            logger.error("%s: the ones before stay in use: %s", self._name, complaint)
            self._complaint = complaint
