"""The file of a durable log: an SQLite database in WAL mode, with a format and an id.

A `LogFormat` defines the tables of a log. This module creates and opens the file, refuses files of
other programs, and reports errors with the file's name.
"""

import errno
import hashlib
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from base.atomic_files import sync
from base.errors import InputError
from base.failpoints import failpoint

# This table has one row: the unique id of the log.
_IDENTITY_TABLE = "CREATE TABLE log (id TEXT NOT NULL)"

# Maximum number of rows that one statement reads or writes. Each statement releases Python's
# interpreter lock, and then waits until the other threads release it. Therefore, writes with one
# statement per row were slow while searches ran.
_ROWS = 500
_DIGEST_BYTES = 16

Row = TypeVar("Row")


class LogError(InputError):
    """The log's file cannot be used, or cannot be written to now."""


class FullDiskError(LogError):
    """The log's file cannot be opened or written to, because the disk is full."""


@dataclass(frozen=True)
class LogFormat:
    """The properties that all files of one kind of log share."""

    application_id: int  # identifies our program in the file's header
    version: int  # format version: user_version in the file's header
    tables: tuple[str, ...]  # CREATE statements of all tables, except the table of the log's id
    other_directory: str  # advice to choose another directory, such as "give another --state"
    restart: str  # advice to go on without the file, such as "start from the bundle alone"


@dataclass(frozen=True)
class LogFile:
    """The file of one log. The file may not exist yet."""

    path: Path
    format: LogFormat

    @property
    def in_use(self) -> bool:
        """Whether a process may be writing to the file, or was killed before closing it.

        A process that wrote nothing may leave an empty file beside it, for example on a full disk.
        """
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size > 0
        except FileNotFoundError:
            return False

    def connect(self) -> sqlite3.Connection:
        """Open the file for writing; create it if it is missing, and add tables if it has none.

        Raises:
            LogError: the file belongs to another program or has another format.
        """
        with suppress(FileExistsError):
            # SQLite creates its other files with the permissions of this file.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
            failpoint("log.create.empty-file")
        connection = self._open("rw")
        try:
            new = self.is_new(connection)
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise LogError(
                    f"{self.path}: its file system does not support shared memory; "
                    f"{self.format.other_directory}"
                )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # macOS: flush the disk's own cache too
            if new:
                self._create_tables(connection)
            sync(self.path.parent)
        except BaseException:
            connection.close()
            raise
        return connection

    def is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether the file has no tables yet.

        Raises:
            LogError: the file belongs to another program or has another format.
        """
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application_id, version, tables) == (0, 0, 0):
            return True
        if application_id != self.format.application_id:
            raise LogError(
                f"{self.path}: is a database of another program; {self.format.other_directory}"
            )
        if version != self.format.version:
            raise LogError(
                f"{self.path}: has format {version}, and this version of shortlist reads "
                f"{self.format.version}; use the version that wrote it, or "
                f"{self.format.other_directory}"
            )
        return False

    def reader(self) -> sqlite3.Connection:
        """Open a read-only connection. Another process may write to the file."""
        return self._open("ro")

    def lone_reader(self) -> sqlite3.Connection:
        """Open a read-only connection that creates no files. The file must not be in use."""
        return self._open("ro&immutable=1")

    def check_integrity(self, reader: sqlite3.Connection) -> None:
        """Let SQLite check every page.

        Raises:
            LogError: a page is damaged.
        """
        problems = [line for (line,) in reader.execute("PRAGMA integrity_check")]
        if problems != ["ok"]:
            raise self.damaged(problems[0])

    def damaged(self, problem: str) -> LogError:
        """Return the error for a file with content that this program did not write."""
        return LogError(
            f"{self.path}: is damaged ({problem}); restore it from a copy, or move it away to "
            f"{self.format.restart}"
        )

    @contextmanager
    def reporting(self, failure: str) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into LogErrors that name the file."""
        with _reporting(self, self.path, failure):
            yield

    @contextmanager
    def reporting_directory(self, failure: str) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into LogErrors that name the directory."""
        with _reporting(self, self.path.parent, failure):
            yield

    def _open(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )

    def _create_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {self.format.application_id}")
        connection.execute(f"PRAGMA user_version = {self.format.version}")
        failpoint("log.create.before-tables")
        for table in (*self.format.tables, _IDENTITY_TABLE):
            connection.execute(table)
        connection.execute("INSERT INTO log VALUES (?)", (uuid.uuid4().hex,))
        connection.execute("COMMIT")
        failpoint("log.create.after-tables")


@contextmanager
def _reporting(file: LogFile, path: Path, failure: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a bug in this program
    except (sqlite3.Error, OSError) as error:
        why = str(error) if isinstance(error, sqlite3.Error) else error.strerror or str(error)
        if "malformed" in why:
            raise file.damaged(why) from error
        if _is_full_disk(error):
            advice = f"free space, or {file.format.other_directory}"
            raise FullDiskError(f"{path}: {failure} (the disk is full); {advice}") from error
        raise LogError(
            f"{path}: {failure} ({why}); check the disk and the file, or "
            f"{file.format.other_directory}"
        ) from error


def _is_full_disk(error: sqlite3.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = getattr(error, "sqlite_errorcode", None)  # errors of the module itself have no code
    # SQLite needs a file of 32 KB beside an open database. IOERR_SHMSIZE: there is no room for it.
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


def make_directory(directory: Path) -> None:
    """Create a missing directory that only this user can access, and make its name durable."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)


def log_id(connection: sqlite3.Connection) -> str:
    """Return the unique id of a log."""
    (identity,) = connection.execute("SELECT id FROM log").fetchone()
    return str(identity)


def digest(content: str) -> bytes:
    """Return a short hash of a request's content; a repeated request has the same hash."""
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).digest()


def select_in(
    connection: sqlite3.Connection, query: str, values: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Run a query that ends in `IN` for any number of values, and yield its rows."""
    for part in _split(values):
        yield from connection.execute(f"{query} ({', '.join('?' * len(part))})", part).fetchall()


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert any number of rows with a statement that ends before `VALUES`."""
    for part in _split(rows):
        placeholders = f"({', '.join('?' * len(part[0]))})"
        values = [value for row in part for value in row]
        connection.execute(f"{statement} VALUES {', '.join([placeholders] * len(part))}", values)


def _split(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]
