"""The two formats of the log: text for people, and JSON for machines."""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

from base.error_logging import log_error

logger = logging.getLogger(__name__)

LogFormat = Literal["text", "json"]

_WORD = re.compile(r"[^\s\"=]+")
# Packages that log INFO records. Libraries log only WARNING and above.
_LOGGED_FROM_INFO = ("server", "search", "live")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, message and fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line | _fields(record), default=str)


class TextFormatter(logging.Formatter):
    """Formats a record as text: the message, a colon, and the fields as key=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, without the text of an exception."""
        pairs = " ".join(f"{name}={_text(value)}" for name, value in _fields(record).items())
        message = super().formatMessage(record)
        return f"{message}: {pairs}" if pairs else message


def _text(value: Any) -> str:
    """Return a value as JSON; leave out the quotes of a text that is one word."""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields that the caller logged with `extra={"fields": {...}}`."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def configure(log_format: LogFormat) -> None:
    """Log to standard error: INFO of the server and the engine, and warnings of libraries.

    Uncaught exceptions are logged, too. Python would print them as plain text between JSON lines.
    If the process has already configured logging, its handlers stay in use.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)
    for name in _LOGGED_FROM_INFO:
        logging.getLogger(name).setLevel(logging.INFO)
    sys.excepthook = _log_end
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread_end


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the exception that ends the process."""
    logger.critical("uncaught exception", exc_info=(kind, error, trace))


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Log an exception that has no caller, such as an exception of `__del__`."""
    if unraisable.exc_value is not None:
        log_error(logger, unraisable.exc_value, "exception ignored")


def _log_thread_end(ended: threading.ExceptHookArgs) -> None:
    """Log the exception that ends a thread."""
    if ended.exc_value is not None:
        name = ended.thread.name if ended.thread is not None else "unknown"
        log_error(logger, ended.exc_value, "uncaught exception in a thread", thread=name)
