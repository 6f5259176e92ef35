"""Logging of unexpected exceptions, and of errors that may repeat many times a second."""

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping

from base.errors import InputError


def log_error(logger: logging.Logger, error: BaseException, what: str, **details: object) -> None:
    """Log what failed, the type of the exception, and where it was raised.

    The exception's text may quote a query or an item, so it is logged only at DEBUG. The type and
    the traceback are enough to find the bug.

    Args:
        logger: The logger.
        error: The exception.
        what: What failed.
        details: Data to log as key=value; they must not quote a request.
    """
    pairs = _pairs({**details, "error": type(error).__name__})
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s at\n%s", what, pairs, frames)
    logger.debug("%s, in full: %s", what, pairs, exc_info=error)


def operator_text(error: BaseException) -> str:
    """Return the text of an error that an operator can mend; of another error, only its type."""
    if isinstance(error, InputError | OSError):
        return str(error)
    return f"{type(error).__name__}; the log says where"


class Occurrences:
    """Count events that repeat, so that they are logged rarely. Safe to use from any thread."""

    def __init__(
        self, interval_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start without events.

        Args:
            interval_seconds: The shortest time between two reports of one kind of event.
            clock: Measures the interval, in seconds.
        """
        self._interval_seconds, self._clock = interval_seconds, clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()  # events since the last report, by kind
        self._reported: dict[str, float] = {}  # time of the last report, by kind

    def count(self, kind: str = "") -> int:
        """Count one event. Return the number of events to report now; 0 if it is too early."""
        with self._lock:
            self._counts[kind] += 1
            now = self._clock()
            if now < self._reported.get(kind, -float("inf")) + self._interval_seconds:
                return 0
            self._reported[kind] = now
            return self._counts.pop(kind)


class RepeatedErrors:
    """Log the first error of each kind at once, and then at most one per interval.

    A kind is the failed work together with the type of the exception.
    """

    def __init__(self, logger: logging.Logger, occurrences: Occurrences | None = None) -> None:
        """Log to a logger.

        Args:
            logger: The logger.
            occurrences: Counts the errors, and sets the interval; None: at most one a minute.
        """
        self._logger = logger
        self._occurrences = occurrences or Occurrences()

    def log(self, error: BaseException, what: str) -> None:
        """Log an error, unless an error of its kind was logged within the interval.

        The record of an InputError or an OSError has its text, which names what to mend. The record
        of any other error has its traceback. The record also has the number of errors of this kind
        that were not logged since the last record.

        Args:
            error: The exception.
            what: What failed; a constant text.
        """
        count = self._occurrences.count(f"{what}: {type(error).__name__}")
        if not count:
            return
        details: dict[str, object] = {"not_logged": count - 1} if count > 1 else {}
        if isinstance(error, InputError | OSError):
            pairs = _pairs({**details, "reason": repr(str(error))})
            self._logger.error("%s: %s", what, pairs)
        else:
            log_error(self._logger, error, what, **details)


def _pairs(details: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in details.items())
