"""Read a write-ahead log, in the process that writes to the log or in another process."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.sqlite_log import LogError, LogFile, LogFormat, log_id, select_in
from live.log.fields import from_json

FILE = "writes.sqlite3"

_FORMAT = LogFormat(
    application_id=0x53484C47,  # "SHLG"
    version=1,
    tables=(
        # The sequence is the key, so that a replay reads the file from start to end.
        "CREATE TABLE items (sequence INTEGER PRIMARY KEY, item_id TEXT NOT NULL UNIQUE,"
        " fields TEXT, whole INTEGER NOT NULL)",  # fields: a JSON object; null for a deleted item
        "CREATE TABLE requests (sequence INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE,"
        " digest BLOB NOT NULL)",
    ),
    other_directory="give another --state",
    restart="start from the bundle alone",
)


class NoLogError(LogError):
    """The directory has no log yet."""


@dataclass(frozen=True)
class Change:
    """The latest state of one item."""

    item_id: str
    sequence: int  # sequence number of the item's last write
    # None: the item is deleted. If `whole` is true, these are only the fields that have a value. If
    # `whole` is false, a value of None or {} clears the field.
    fields: Mapping[str, Any] | None
    whole: bool  # False: the item's other fields keep their values from the bundle


@dataclass(frozen=True)
class LogSnapshot:
    """The content of a log at one moment."""

    id: str  # unique id of the log
    sequence: int  # sequence number of the last write; 0 before the first write
    changes: tuple[Change, ...]  # one change per item that was ever written, ordered by sequence


def log_file(directory: Path) -> LogFile:
    """Return the file of the log in a directory, whether or not the file exists."""
    return LogFile(directory.resolve() / FILE, _FORMAT)


def read(directory: Path, *, check: bool = False) -> LogSnapshot:
    """Read the log in a directory, without changing it. Another process may write to the log.

    Args:
        directory: The directory that `--state` names.
        check: Whether to check the whole file, as `WriteLog.check` does.

    Raises:
        NoLogError: the directory has no log yet.
        LogError: the log cannot be read, or the check fails.
    """
    file = log_file(directory)
    if not file.path.is_file():
        raise _no_log(file)
    if not file.in_use:
        snapshot = _read(file, check, file.lone_reader)
        if not file.in_use:  # no process opened the file for writing meanwhile
            return snapshot
    return _read(file, check, file.reader)


def _read(file: LogFile, check: bool, connect: Callable[[], sqlite3.Connection]) -> LogSnapshot:
    with file.reporting("cannot be read"), closing(connect()) as reader:
        reader.execute("BEGIN")  # so that all statements read the same state of the file
        if file.is_new(reader):
            raise _no_log(file)
        if check:
            check_all(file, reader)
        return LogSnapshot(log_id(reader), last_sequence(reader), tuple(changes(file, reader, 0)))


def _no_log(file: LogFile) -> NoLogError:
    return NoLogError(
        f"{file.path}: there is no log; give the directory that a server uses as --state"
    )


def last_sequence(connection: sqlite3.Connection) -> int:
    """Return the sequence number of the last write; 0 before the first write."""
    # Old requests are deleted from the table, but the last request never is.
    query = "SELECT coalesce(max(sequence), 0) FROM requests"
    return int(connection.execute(query).fetchone()[0])


def changes(file: LogFile, reader: sqlite3.Connection, after: int) -> Iterator[Change]:
    """Yield the state of each item whose last write is later than `after`, in order of sequence."""
    query = "SELECT * FROM items WHERE sequence > ? ORDER BY sequence"
    for row in reader.execute(query, (after,)):
        yield _change(file, row)


def changes_of(
    file: LogFile, connection: sqlite3.Connection, item_ids: Sequence[str]
) -> dict[str, Change]:
    """Return the latest state of some items, by id; items that were never written are left out."""
    query = "SELECT * FROM items WHERE item_id IN"
    rows = (_change(file, row) for row in select_in(connection, query, item_ids))
    return {change.item_id: change for change in rows}


def check_all(file: LogFile, reader: sqlite3.Connection) -> None:
    """Check the whole file, in a transaction that the caller began.

    Raises:
        LogError: the file is damaged.
    """
    file.check_integrity(reader)
    first, last, count = reader.execute(
        "SELECT coalesce(min(sequence), 1), coalesce(max(sequence), 0), count(*) FROM requests"
    ).fetchone()
    if first < 1 or last - first + 1 != count:
        raise file.damaged("the sequence of requests has gaps")
    for change in changes(file, reader, after=-1):
        if not 1 <= change.sequence <= last:
            raise file.damaged(f"item {change.item_id!r} belongs to no known write")


def _change(file: LogFile, row: tuple[Any, ...]) -> Change:
    """Return a row of the table `items` as a `Change`."""
    sequence, item_id, text, whole = row
    if not isinstance(item_id, str) or not item_id or whole not in (0, 1):
        raise file.damaged(f"write {sequence} has no item_id or is neither whole nor partial")
    if text is None:
        if not whole:
            raise file.damaged(f"item {item_id!r} is deleted in part")
        return Change(item_id, sequence, None, whole=True)
    try:
        return Change(item_id, sequence, from_json(text, whole=bool(whole)), bool(whole))
    except ValueError as error:
        raise file.damaged(f"item {item_id!r}, {error}") from error
