"""Read a write-ahead log, in the process that writes to the log or in another process."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from base.sqlite_log import high_water_mark
from base.sqlite_log.file import CopyFile, LogError, LogFile, LogFormat, NoLogError
from base.sqlite_log.high_water_mark import HighWaterMark
from base.sqlite_log.statements import select_in
from live.log import curations
from live.log.curations import CurationRow, CurationVersion
from live.log.digests import (
    ITEM_COLUMN,
    ItemRow,
    add_digests,
    content_digest,
    content_sum,
    item_digest,
)
from live.log.fields import from_json

FILE = "writes.sqlite3"
MARK = "writes.mark"

_FORMAT = LogFormat(
    application_id=0x53484C47,  # "SHLG"
    version=3,
    tables=(
        # The sequence is the key, so that a replay reads the file from start to end. The column
        # `fields` is a JSON object, or null for a deleted item.
        "CREATE TABLE items (sequence INTEGER PRIMARY KEY, item_id TEXT NOT NULL UNIQUE,"
        f" fields TEXT, whole INTEGER NOT NULL, {ITEM_COLUMN})",
        "CREATE TABLE requests (sequence INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE,"
        " digest BLOB NOT NULL)",
        curations.TABLE,
        curations.INDEX,
    ),
    upgrades=MappingProxyType({1: add_digests, 2: curations.add_table}),
    directory="give the directory that a server uses as --state",
    other_directory="give another --state",
    restart=f"move it and {MARK} away to start from the bundle alone",
)


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
    # the latest version of each curation, ordered by revision; also of deleted curations
    curations: tuple[CurationVersion, ...] = ()


def log_file(directory: Path) -> LogFile:
    """Return the file of the log in a directory, whether or not the file exists."""
    return LogFile(directory.resolve() / FILE, _FORMAT)


def mark_path(directory: Path) -> Path:
    """Return the path of the high-water mark of the log in a directory."""
    return directory.resolve() / MARK


def read(directory: Path, *, copy_file: CopyFile = shutil.copyfile) -> LogSnapshot:
    """Check and read the log in a directory, without changing it. A server may write to the log.

    Args:
        directory: The directory that `--state` names.
        copy_file: Copies one file to another path.

    Raises:
        NoLogError: the directory has no log yet.
        LogError: the log cannot be read, it is damaged, or it has lost acknowledged writes.
    """
    file = log_file(directory)
    mark = HighWaterMark.read(mark_path(directory))  # first: later writes may be in the log
    with file.reporting("cannot be read"):
        try:
            with file.copy(copy_file) as copy:
                check(file, copy, mark)
                end = head(copy)
                return LogSnapshot(
                    end.id,
                    end.sequence,
                    tuple(changes(file, copy, after=0)),
                    tuple(curations.latest(file, copy, after=0)),
                )
        except NoLogError as error:
            raise lost(file, mark, 0) if mark.sequence else error from None


@dataclass(frozen=True)
class LogHead:
    """The newest state of a log."""

    id: str  # unique id of the log
    sequence: int  # sequence number of the last write; 0 before the first write
    content: bytes  # digest of all rows


def head(connection: sqlite3.Connection) -> LogHead:
    """Return the newest state of a log."""
    # Old requests are deleted from the table, but the last request never is.
    query = (
        "SELECT CAST(id AS TEXT), (SELECT coalesce(max(sequence), 0) FROM requests),"
        " CAST(content AS BLOB) FROM log"
    )
    return LogHead(*connection.execute(query).fetchone())


def changes(file: LogFile, reader: sqlite3.Connection, after: int) -> Iterator[Change]:
    """Yield the state of each item whose last write is later than `after`, in order of sequence.

    Raises:
        LogError: a row is not as it was written.
    """
    query = "SELECT * FROM items WHERE sequence > ? ORDER BY sequence"
    for row in reader.execute(query, (after,)):
        yield to_change(file, _intact(file, row))


def rows_of(
    file: LogFile, connection: sqlite3.Connection, item_ids: Sequence[str]
) -> dict[str, ItemRow]:
    """Return the rows of some items, by id; items that were never written are left out.

    Raises:
        LogError: a row is not as it was written.
    """
    query = "SELECT * FROM items WHERE item_id IN"
    return {row[1]: _intact(file, row) for row in select_in(connection, query, item_ids)}


def to_change(file: LogFile, row: ItemRow) -> Change:
    """Return a row of the table `items` as a `Change`.

    Raises:
        LogError: the fields are not those of an item.
    """
    sequence, item_id, text, whole, _ = row
    if text is None:
        return Change(item_id, sequence, None, whole=True)
    try:
        return Change(item_id, sequence, from_json(text, whole=bool(whole)), bool(whole))
    except ValueError as error:
        raise file.damaged(f"item {item_id!r}, {error}") from error


def _intact(file: LogFile, row: Any) -> ItemRow:
    """Return a row of the table `items` if it has the digest of its content."""
    sequence, item_id, text, whole, digest = row
    if digest != item_digest(sequence, item_id, text, whole):
        raise file.damaged(f"item {item_id!r} of write {sequence} is not as it was written")
    return sequence, item_id, text, whole, digest


def check(file: LogFile, connection: sqlite3.Connection, mark: HighWaterMark) -> None:
    """Check the whole log, in one transaction.

    Args:
        file: The log's file.
        connection: Reads the log, or a copy of it.
        mark: The last acknowledged write.

    Raises:
        LogError: the log is damaged, or it has lost acknowledged writes.
    """
    file.check_integrity(connection)
    end = head(connection)
    first, count = connection.execute(
        "SELECT coalesce(min(sequence), 1), count(*) FROM requests"
    ).fetchone()
    if first < 1 or end.sequence - first + 1 != count:
        raise file.damaged("the sequence of requests has gaps")
    requests = connection.execute("SELECT * FROM requests")
    rows: Iterator[ItemRow | CurationRow] = chain(
        _items(file, connection, end.sequence), _curations(file, connection, end.sequence)
    )
    content = content_digest(content_sum(rows, requests))
    if content != end.content:
        raise file.damaged("its rows are not those that were written")
    acknowledged = end.sequence if end.id == mark.log else 0
    if acknowledged < mark.sequence:
        raise lost(file, mark, acknowledged)


def _items(file: LogFile, connection: sqlite3.Connection, last: int) -> Iterator[ItemRow]:
    """Check and yield all rows of the table `items`."""
    for row in connection.execute("SELECT * FROM items"):
        if not 1 <= row[0] <= last:
            raise file.damaged(f"item {row[1]!r} belongs to no known write")
        yield _intact(file, row)


def _curations(file: LogFile, connection: sqlite3.Connection, last: int) -> Iterator[CurationRow]:
    """Check and yield all rows of the table `curations`."""
    for row in connection.execute("SELECT * FROM curations"):
        if not 1 <= row[0] <= last:
            raise file.damaged(f"curation {row[1]!r} belongs to no known write")
        yield curations.intact(file, row)


def lost(file: LogFile, mark: HighWaterMark, last: int) -> LogError:
    """Return the error for a log that lacks acknowledged writes.

    Args:
        file: The log's file.
        mark: The last acknowledged write.
        last: Sequence number of the last write that the log has; 0 if another log replaced it.
    """
    return high_water_mark.lost(file, mark_path(file.path.parent), mark, last)
