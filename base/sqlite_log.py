"""The write log's file: making and opening it, keeping others out, and saying what is wrong."""

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from base.atomic_files import sync
from base.errors import InputError
from base.failpoints import failpoint

LOCK_FILE = ".lock"

_APPLICATION_ID = 0x53484C47  # "SHLG", in the file's header
_FORMAT = 1  # the header's user_version
_TABLES = (
    # By sequence, so that a replay reads the file from front to back.
    "CREATE TABLE items (sequence INTEGER PRIMARY KEY, item_id TEXT NOT NULL UNIQUE,"
    " fields TEXT, whole INTEGER NOT NULL)",  # fields: a JSON object; null: deleted
    "CREATE TABLE requests (sequence INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE,"
    " digest BLOB NOT NULL)",
    "CREATE TABLE log (id TEXT NOT NULL)",  # one row: which log this is, of all there are
)


class LogError(InputError):
    """The log's file cannot be used, or cannot be written to now."""


def make_directory(directory: Path) -> None:
    """Makes a directory where it is missing, for this user alone, and makes its name durable."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def lock_directory(directory: Path) -> FileLock:
    """Keeps other processes out of a directory; a killed one lets go of it.

    Raises:
        InputError: another process has it.
    """
    # Not of the thread: the one that closes the log may not be the one that opened it.
    lock = FileLock(directory / LOCK_FILE, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another server is writing to {directory}; stop it, or give another --state"
        ) from None
    return lock


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file for writing; makes it where it is missing or was not finished.

    Raises:
        LogError: it is another program's, or of another format.
    """
    with suppress(FileExistsError):
        # SQLite gives its other files the permissions of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        failpoint("log.create.empty-file")
    connection = _open_sqlite(path, "rw")
    try:
        new = is_new(path, connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise LogError(f"{path}: its file system has no shared memory; give another --state")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: through the disk's own cache
        if new:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
            failpoint("log.create.before-tables")
            for table in _TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO log VALUES (?)", (uuid.uuid4().hex,))
            connection.execute("COMMIT")
            failpoint("log.create.after-tables")
        sync(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def is_new(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the file is still without tables.

    Raises:
        LogError: it is another program's, or of another format.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return True
    if application != _APPLICATION_ID:
        raise LogError(f"{path}: is a database of another program; give another --state")
    if version != _FORMAT:
        raise LogError(
            f"{path}: has format {version}, and this version of shortlist reads {_FORMAT}; "
            "use the version that wrote it, or give another --state"
        )
    return False


def reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside the one that does."""
    return _open_sqlite(path, "ro")


def in_use(path: Path) -> bool:
    """Whether a process has the file open, or was killed while it had."""
    return path.with_name(f"{path.name}-wal").exists()


def lone_reader(path: Path) -> sqlite3.Connection:
    """A connection to a file that is not in use, which leaves no other files beside it."""
    return _open_sqlite(path, "ro&immutable=1")


def _open_sqlite(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )


def damaged(path: Path, what: str) -> LogError:
    """The error of a file that holds what no log wrote."""
    return LogError(
        f"{path}: is damaged ({what}); restore it from a copy, or move it away to start from the "
        "bundle alone"
    )


@contextmanager
def reporting(path: Path, what: str) -> Iterator[None]:
    """Turns errors of SQLite and of the file system into one that names the file."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a bug of ours
    except (sqlite3.Error, OSError) as error:
        why = str(error) if isinstance(error, sqlite3.Error) else error.strerror or str(error)
        if "malformed" in why:
            raise damaged(path, why) from error
        raise LogError(
            f"{path}: {what} ({why}); see to the disk or the file, or give another --state"
        ) from error
