"""The file of a durable log: an SQLite database in WAL mode, with a format and an identity.

What a log holds is up to its `LogFormat`. This module creates and opens the file, refuses files of
other programs, and reports errors with the file's name.
"""

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

# One row: the log's id, which no other log has.
_IDENTITY_TABLE = "CREATE TABLE log (id TEXT NOT NULL)"

# Rows that one statement reads or writes. SQLite releases Python's lock during each statement, and
# getting it back means waiting for other threads: with one statement a row, writes were slow beside
# searches.
_ROWS = 500
_DIGEST_BYTES = 16

Row = TypeVar("Row")


class LogError(InputError):
    """The log's file cannot be used, or cannot be written to now."""


@dataclass(frozen=True)
class LogFormat:
    """What all files of one kind of log have in common."""

    application_id: int  # in the file's header: which program the file belongs to
    version: int  # the header's user_version
    tables: tuple[str, ...]  # statements that create the tables, besides that of the log's id
    other_directory: str  # how a person names another directory, as in "give another --state"
    restart: str  # what a person can do without the file, as in "start from the bundle alone"


@dataclass(frozen=True)
class LogFile:
    """The file of one log, which need not exist yet."""

    path: Path
    format: LogFormat

    @property
    def in_use(self) -> bool:
        """Whether a process has the file open, or was killed while it had."""
        return self.path.with_name(f"{self.path.name}-wal").exists()

    def connect(self) -> sqlite3.Connection:
        """Open the file for writing; create a file that is missing or was not finished.

        Raises:
            LogError: the file belongs to another program or has another format.
        """
        with suppress(FileExistsError):
            # SQLite gives its other files the permissions of this one.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
            failpoint("log.create.empty-file")
        connection = self._open("rw")
        try:
            new = self.is_new(connection)
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise LogError(
                    f"{self.path}: its file system has no shared memory; "
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
        """Open a read-only connection, beside the process that writes."""
        return self._open("ro")

    def lone_reader(self) -> sqlite3.Connection:
        """Open a read-only connection to a file not in use; it creates no files."""
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
        """Return the error for content that this program did not write."""
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
        """Turn errors into LogErrors that name the file's directory."""
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
        raise  # a bug of ours
    except (sqlite3.Error, OSError) as error:
        why = str(error) if isinstance(error, sqlite3.Error) else error.strerror or str(error)
        if "malformed" in why:
            raise file.damaged(why) from error
        raise LogError(
            f"{path}: {failure} ({why}); see to the disk or the file, or "
            f"{file.format.other_directory}"
        ) from error


def make_directory(directory: Path) -> None:
    """Create a missing directory for this user alone, and make its name durable."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def log_id(connection: sqlite3.Connection) -> str:
    """Return the id of a log, which no other log has."""
    (identity,) = connection.execute("SELECT id FROM log").fetchone()
    return str(identity)


def digest(content: str) -> bytes:
    """Return a short hash of a request's content, to recognise the request when it is repeated."""
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).digest()


def select_in(
    connection: sqlite3.Connection, query: str, values: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query that ends in `IN`, for any number of values."""
    for some in _portions(values):
        yield from connection.execute(f"{query} ({', '.join('?' * len(some))})", some).fetchall()


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert any number of rows with a statement that ends before `VALUES`."""
    for some in _portions(rows):
        placeholders = f"({', '.join('?' * len(some[0]))})"
        values = [value for row in some for value in row]
        connection.execute(f"{statement} VALUES {', '.join([placeholders] * len(some))}", values)


def _portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]
