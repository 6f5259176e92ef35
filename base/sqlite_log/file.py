"""The file of a durable log: an SQLite database in WAL mode, with a format and an id.

A `LogFormat` defines the tables of a log. This module creates, opens, converts and copies the file,
refuses files of other programs, and reports errors with the file's name.

By default, SQLite keeps an index of the WAL in a file that processes map into their memory (-shm).
If that file is cut or cannot be written, the signal SIGBUS ends the process. Therefore, this module
uses SQLite's VFS `unix-excl`, which keeps the index in the memory of the process. Only one process
can then open the file. Other processes read a copy.
"""

import errno
import fcntl
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from base.atomic_files import sync
from base.errors import InputError
from base.failpoints import failpoint
from base.sqlite_log.statements import DIGEST_BYTES

# The digest of the content of a log without rows.
_NO_CONTENT = f"x'{bytes(DIGEST_BYTES).hex()}'"
# This column has a digest of the rows of all other tables.
CONTENT_COLUMN = f"content BLOB NOT NULL DEFAULT {_NO_CONTENT}"
# This table has one row: the unique id of the log, and the digest of its content.
_LOG_TABLE = f"CREATE TABLE log (id TEXT NOT NULL, {CONTENT_COLUMN})"

_WAL_HEADER_BYTES = 32  # the header changes whenever SQLite begins to write the WAL anew
_COPIES = 20  # number of attempts to copy a log

# A function that copies a file to a path, as `shutil.copyfile` does.
CopyFile: TypeAlias = Callable[[Path, Path], object]


class LogError(InputError):
    """The log's file cannot be used, or cannot be written to now."""


class NoLogError(LogError):
    """There is no log yet."""


@dataclass(frozen=True)
class LogFormat:
    """The properties that all files of one kind of log share."""

    application_id: int  # identifies our program in the file's header
    version: int  # format version: user_version in the file's header
    tables: tuple[str, ...]  # CREATE statements of all tables, except the table `log`
    # Earlier format versions that can be read. The function converts the tables to the next
    # version, in a transaction that its caller began.
    upgrades: Mapping[int, Callable[[sqlite3.Connection], None]]
    directory: str  # advice to name the log's directory, such as "give the directory of --state"
    other_directory: str  # advice to choose another directory, such as "give another --state"
    restart: str  # advice to go on without the file, such as "start from the bundle alone"


@dataclass(frozen=True)
class LogFile:
    """The file of one log. The file may not exist yet."""

    path: Path
    format: LogFormat

    @property
    def wal(self) -> Path:
        """The file with the latest transactions. It exists while a process uses the log."""
        return _wal(self.path)

    def connect(self, *, create: bool) -> sqlite3.Connection:
        """Open the file for writing, and convert it to the current format.

        Args:
            create: Whether to create the log if there is none.

        Raises:
            NoLogError: there is no log, and `create` is false.
            LogError: the file belongs to another program, or its format is unknown.
        """
        if create:
            with suppress(FileExistsError):
                # SQLite creates its other files with the permissions of this file.
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(self.path, flags, 0o600))
                failpoint("log.create.empty-file")
        connection = self._connect(self.path, create=create)
        try:
            sync(self.path.parent)
        except BaseException:
            connection.close()
            raise
        return connection

    def reader(self) -> sqlite3.Connection:
        """Open a read-only connection in the process that has the file open for writing."""
        return _open(self.path, "ro")

    @contextmanager
    def copy(self, copy_file: CopyFile = shutil.copyfile) -> Iterator[sqlite3.Connection]:
        """Open a temporary copy of the log, converted to the current format.

        Another process may write to the log. The copy has all transactions that were complete when
        the copy began. It lies in the directory for temporary files (TMPDIR).

        Args:
            copy_file: Copies one file to another path.

        Raises:
            NoLogError: there is no log.
            LogError: the file belongs to another program, or its format is unknown.
        """
        with tempfile.TemporaryDirectory(prefix="shortlist-") as directory:
            path = Path(directory) / self.path.name
            with self.reporting(f"cannot be copied to {directory}"):
                self._copy_to(path, copy_file)
            with closing(self._connect(path, create=False)) as connection:
                yield connection

    def check_integrity(self, connection: sqlite3.Connection) -> None:
        """Let SQLite check every page, and compare the tables with those of the format.

        Raises:
            LogError: a page is damaged, or the tables are not those of the format.
        """
        (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if result != "ok":
            raise self.damaged(result.splitlines()[-1])
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        if {sql for (sql,) in tables} != {*self.format.tables, _LOG_TABLE}:
            raise self.damaged("its tables are not those of a log")

    def damaged(self, problem: str) -> LogError:
        """Return the error for a file with content that this program did not write."""
        return LogError(
            f"{self.path}: is damaged ({problem}); restore it from a copy, or {self.format.restart}"
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

    def _connect(self, path: Path, *, create: bool) -> sqlite3.Connection:
        """Open the file, or a copy of it at `path`, for writing."""
        # SQLite removes the WAL of an empty file, so do not open such a file.
        if not create and (not path.exists() or path.stat().st_size == 0):
            raise self._missing()
        connection = _open(path, "rw")
        try:
            version = self._version(connection)
            if version is None and not create:
                raise self._missing()
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # macOS: flush the disk's own cache too
            if version is None:
                self._create_tables(connection)
            elif version != self.format.version:
                self._upgrade(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    def _version(self, connection: sqlite3.Connection) -> int | None:
        """Return the file's format version; None if the file has no tables yet.

        Raises:
            LogError: the file belongs to another program, or its format is unknown.
        """
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application_id, version, tables) == (0, 0, 0):
            return None
        if application_id != self.format.application_id:
            raise LogError(
                f"{self.path}: is a database of another program; {self.format.other_directory}"
            )
        if version not in (*self.format.upgrades, self.format.version):
            raise LogError(
                f"{self.path}: has format {version}, and this version of shortlist reads up to "
                f"{self.format.version}; use the version that wrote it, or "
                f"{self.format.other_directory}"
            )
        return int(version)

    def _create_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {self.format.application_id}")
        connection.execute(f"PRAGMA user_version = {self.format.version}")
        failpoint("log.create.before-tables")
        for table in (*self.format.tables, _LOG_TABLE):
            connection.execute(table)
        connection.execute("INSERT INTO log (id) VALUES (?)", (uuid.uuid4().hex,))
        connection.execute("COMMIT")
        failpoint("log.create.after-tables")

    def _upgrade(self, connection: sqlite3.Connection, version: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for earlier in range(version, self.format.version):
            self.format.upgrades[earlier](connection)
        connection.execute(f"PRAGMA user_version = {self.format.version}")
        connection.execute("COMMIT")

    def _copy_to(self, path: Path, copy_file: CopyFile) -> None:
        """Copy the file and its WAL as of one moment.

        The process that writes to the log appends to the WAL meanwhile. It moves no transaction
        from the WAL to the file, unless it starts or stops. Then the header of the WAL changes, and
        the files are copied again.

        Raises:
            NoLogError: there is no log.
        """
        if not self.path.is_file():
            raise self._missing()
        for _ in range(_COPIES):
            with _no_checkpoint(self.wal):
                before = _header(self.wal)
                copy_file(self.path, path)
                try:
                    copy_file(self.wal, _wal(path))
                except FileNotFoundError:
                    _wal(path).unlink(missing_ok=True)
                if _header(self.wal) == before:
                    return
        raise LogError(f"{self.path}: changed too often while it was copied; try again")

    def _missing(self) -> NoLogError:
        return NoLogError(f"{self.path}: there is no log; {self.format.directory}")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}&vfs=unix-excl",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _header(wal: Path) -> bytes:
    """Return the header of a WAL; empty if the WAL is missing."""
    try:
        with wal.open("rb") as file:
            return file.read(_WAL_HEADER_BYTES)
    except FileNotFoundError:
        return b""


@contextmanager
def _no_checkpoint(wal: Path) -> Iterator[None]:
    """Keep the process that writes to a log from moving transactions from the WAL to the file."""
    try:
        descriptor = os.open(wal, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # `OpenLog.transaction` takes the exclusive lock
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _reporting(file: LogFile, path: Path, failure: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a bug in this program
    except UnicodeDecodeError as error:  # SQLite quotes a damaged text in its error message
        raise file.damaged("a text is not UTF-8") from error
    except (sqlite3.Error, OSError) as error:
        why = str(error) if isinstance(error, sqlite3.Error) else error.strerror or str(error)
        if "malformed" in why:
            raise file.damaged(why) from error
        if "decode to UTF-8" in why:  # the message quotes the whole text
            raise file.damaged("a text is not UTF-8") from error
        if _is_full_disk(error):
            advice = f"free space, or {file.format.other_directory}"
            raise LogError(f"{path}: {failure} (the disk is full); {advice}") from error
        raise LogError(
            f"{path}: {failure} ({why}); check the disk and the file, or "
            f"{file.format.other_directory}"
        ) from error


def _is_full_disk(error: sqlite3.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Errors of the module `sqlite3` itself have no code.
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def make_directory(directory: Path) -> None:
    """Create a missing directory that only this user can access, and make its name durable."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)
