"""Convert dates between google.type.Date and datetime.date."""

import datetime

from google.type import date_pb2

from search.errors import RequestError


def date_message(date: datetime.date | None) -> date_pb2.Date | None:
    """Return the message of a date; None for None."""
    return date and date_pb2.Date(year=date.year, month=date.month, day=date.day)


def date_record(message: date_pb2.Date, path: str) -> datetime.date:
    """Return the date of a message; raise RequestError unless it has year, month and day."""
    try:
        return datetime.date(message.year, message.month, message.day)
    except (ValueError, OverflowError):
        raise RequestError(path, "must be a whole date: year, month and day") from None
