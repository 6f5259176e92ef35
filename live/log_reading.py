"""Reading a write log: by the process that writes to it, and by others beside it."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from base import sqlite_log
from base.sqlite_log import LogError, damaged, reporting
from live.log_fields import from_json

FILE = "writes.sqlite3"

# Rows that one statement reads or writes. SQLite lets other threads run during each, and to go on
# is then to wait for them: a statement a row made writes slow beside searches.
_ROWS = 500

Each = TypeVar("Each")


class NoLogError(LogError):
    """A directory has no log yet."""


@dataclass(frozen=True)
class Change:
    """The latest state of one item."""

    item_id: str
    sequence: int  # of its last write
    # None: deleted. Of a whole item only the fields that are set; else None or {} clears a field.
    fields: Mapping[str, Any] | None
    whole: bool  # False: the fields lie over the bundle's item


@dataclass(frozen=True)
class LogSnapshot:
    """A log at one moment."""

    id: str  # which log it is
    sequence: int  # of the last write, 0 before the first
    changes: tuple[Change, ...]  # of every item that was ever written, in order of sequence


def read(directory: Path, *, check: bool = False) -> LogSnapshot:
    """Reads the log in a directory, which another process may be writing to; changes nothing.

    Args:
        directory: What `--state` names.
        check: Whether to see that all of it is sound, as `WriteLog.check` does.

    Raises:
        NoLogError: there is none yet.
        LogError: it cannot be read, or it is not sound.
    """
    path = directory.resolve() / FILE
    if not path.is_file():
        raise _no_log(path)
    if not sqlite_log.in_use(path):
        found = _read(path, check, sqlite_log.lone_reader)
        if not sqlite_log.in_use(path):  # nobody has begun to write to it meanwhile
            return found
    return _read(path, check, sqlite_log.reader)


def _read(path: Path, check: bool, connect: Callable[[Path], sqlite3.Connection]) -> LogSnapshot:
    with reporting(path, "cannot be read"), closing(connect(path)) as reader:
        reader.execute("BEGIN")  # one state of the file for all that is read
        if sqlite_log.is_new(path, reader):
            raise _no_log(path)
        (log,) = reader.execute("SELECT id FROM log").fetchone()
        if check:
            check_all(path, reader)
        return LogSnapshot(log, last_sequence(reader), tuple(changes(path, reader, 0)))


def _no_log(path: Path) -> NoLogError:
    return NoLogError(f"{path}: there is no log; name the directory that a server's --state names")


def last_sequence(connection: sqlite3.Connection) -> int:
    """Sequence of the last write, 0 before the first."""
    # The last request is never forgotten.
    query = "SELECT coalesce(max(sequence), 0) FROM requests"
    return int(connection.execute(query).fetchone()[0])


def changes(path: Path, reader: sqlite3.Connection, after: int) -> Iterator[Change]:
    """The items whose last write is later than a sequence, in order of sequence."""
    query = "SELECT * FROM items WHERE sequence > ? ORDER BY sequence"
    for row in reader.execute(query, (after,)):
        yield _change(path, row)


def changes_of(
    path: Path, connection: sqlite3.Connection, item_ids: Sequence[str]
) -> dict[str, Change]:
    """The latest state of those of some items that were ever written, by id."""
    query = "SELECT * FROM items WHERE item_id IN"
    found = (_change(path, row) for row in selected(connection, query, item_ids))
    return {change.item_id: change for change in found}


def selected(
    connection: sqlite3.Connection, query: str, values: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query that ends in `IN`, for any number of values."""
    for some in portions(values):
        yield from connection.execute(f"{query} ({', '.join('?' * len(some))})", some).fetchall()


def portions(rows: Sequence[Each]) -> Iterator[Sequence[Each]]:
    """Rows, or values, in the portions that one statement takes."""
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]


def check_all(path: Path, reader: sqlite3.Connection) -> None:
    """Reads everything, in a transaction that has begun, and sees that it is sound.

    Raises:
        LogError: it is not.
    """
    problems = [line for (line,) in reader.execute("PRAGMA integrity_check")]
    if problems != ["ok"]:
        raise damaged(path, problems[0])
    first, last, count = reader.execute(
        "SELECT coalesce(min(sequence), 1), coalesce(max(sequence), 0), count(*) FROM requests"
    ).fetchone()
    if first < 1 or last - first + 1 != count:
        raise damaged(path, "the sequence of requests has gaps")
    for change in changes(path, reader, after=-1):
        if not 1 <= change.sequence <= last:
            raise damaged(path, f"item {change.item_id!r} is of no known write")


def _change(path: Path, row: tuple[Any, ...]) -> Change:
    """The change that a row of the table holds."""
    sequence, item_id, text, whole = row
    if not isinstance(item_id, str) or not item_id or whole not in (0, 1):
        raise damaged(path, f"write {sequence} has no item_id or is neither whole nor partial")
    if text is None:
        if not whole:
            raise damaged(path, f"item {item_id!r} is deleted in part")
        return Change(item_id, sequence, None, whole=True)
    try:
        return Change(item_id, sequence, from_json(text, whole=bool(whole)), bool(whole))
    except ValueError as error:
        raise damaged(path, f"item {item_id!r}, {error}") from error
