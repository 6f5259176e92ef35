"""Convert dates and times of the contract."""

import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2

from base.errors import RequestError


def date_message(date: datetime.date | None) -> date_pb2.Date | None:
    """Convert a date to a message; return None for None."""
    return date and date_pb2.Date(year=date.year, month=date.month, day=date.day)


def date_record(message: date_pb2.Date, path: str) -> datetime.date:
    """Convert a message to a date.

    Args:
        message: The date in the request.
        path: The path of the date in the request.

    Raises:
        RequestError: the date lacks the year, month or day, or does not exist.
    """
    try:
        return datetime.date(message.year, message.month, message.day)
    except (ValueError, OverflowError):
        raise RequestError(path, "is not a date; give a year, month and day that exist") from None


def microseconds(message: Timestamp, path: str) -> int:
    """Convert a time to microseconds since 1970.

    Args:
        message: The time in the request.
        path: The path of the time in the request.

    Raises:
        RequestError: the time does not exist.
    """
    try:
        return message.ToMicroseconds()
    except ValueError:
        raise RequestError(path, "is no time; give seconds since 1970 and nanoseconds") from None
