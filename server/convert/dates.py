"""Convert dates between google.type.Date and datetime.date."""

import datetime

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
