"""The log's two forms: lines for people, or a JSON object a line for machines."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line | fields_of(record), default=str)


class TextFormatter(logging.Formatter):
    """A line of text, with the record's fields behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Returns the line without an exception's text."""
        words = [super().formatMessage(record)]
        for name, value in fields_of(record).items():
            plain = isinstance(value, str | int | float)
            words.append(f"{name}={value if plain else json.dumps(value, default=str)}")
        return " ".join(words)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Returns what a record says beside its message: what was logged with `extra={"fields": …}`."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def configure(log_format: LogFormat) -> None:
    """Logs to standard error: what the server and the engine tell, and warnings of libraries.

    Leaves alone what a process has that has set up its logs already.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)
    for name in ("server", "search"):
        logging.getLogger(name).setLevel(logging.INFO)
