"""Between google.type.Date and datetime.date."""

import datetime

from google.type import date_pb2

from search.errors import RequestError


def date_message(date: datetime.date | None) -> date_pb2.Date | None:
    """Returns the message of a date, None for none."""
    return date and date_pb2.Date(year=date.year, month=date.month, day=date.day)


def date_record(message: date_pb2.Date, path: str) -> datetime.date:
    """Returns the date of a message; raises RequestError unless it is a whole one."""
    try:
        return datetime.date(message.year, message.month, message.day)
    except (ValueError, OverflowError):
        raise RequestError(path, "must be a whole date: year, month and day") from None
