"""A log that this process has open for writing."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from base.sqlite_log.file import LogError, LogFile

# Number of pages in the WAL from which a commit moves its transactions to the file, as by default.
_CHECKPOINT_PAGES = 1_000

_READ = "SELECT count(*) FROM log"  # opens the WAL and takes the lock of a reader


class FileWatch:
    """Notices that open files were removed, replaced or cut. Files that are watched only grow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[Path, os.stat_result] = {}

    def add(self, path: Path) -> None:
        """Watch a file that the process has just opened."""
        with self._lock:
            self._last[path] = path.stat()

    def check(self) -> None:
        """Compare the files with the last check.

        Raises:
            LogError: a path no longer names the same file, or its file is shorter.
        """
        with self._lock:
            for path, last in self._last.items():
                try:
                    now = path.stat()
                except FileNotFoundError:
                    raise _taken_away(path, "removed") from None
                if not os.path.samestat(now, last):
                    raise _taken_away(path, "replaced")
                if now.st_size < last.st_size:
                    raise _taken_away(path, "cut")
                self._last[path] = now


def _taken_away(path: Path, change: str) -> LogError:
    return LogError(
        f"{path}: was {change} while it was in use; put the same file back, or stop the server and "
        "restore the log"
    )


class OpenLog:
    """The connection that writes to a log, and a watch over the files that it uses.

    Attributes:
        file: The log's file.
        connection: The connection. Only one thread at a time may use it.
    """

    def __init__(self, file: LogFile, *, create: bool) -> None:
        """Open a log.

        Args:
            file: The log's file.
            create: Whether to create the log if there is none.

        Raises:
            NoLogError: there is no log, and `create` is false.
            LogError: the file belongs to another program, or its format is unknown.
        """
        self.file = file
        self._pages = -1
        with ExitStack() as opened:
            self.connection = opened.enter_context(closing(file.connect(create=create)))
            # An open reader lets `close` keep the WAL.
            self._reader = opened.enter_context(closing(file.reader()))
            self._reader.execute(_READ).fetchall()
            self._wal = os.open(file.wal, os.O_RDWR)
            opened.callback(os.close, self._wal)
            self._watch = FileWatch()
            for path in (file.path, file.wal):
                self._watch.add(path)
            opened.pop_all()

    def watch(self, path: Path) -> None:
        """Let `require_files` check another file that belongs to the log."""
        self._watch.add(path)

    def require_files(self) -> None:
        """Check that the files are still those that were opened.

        Raises:
            LogError: a file was removed, replaced or cut.
        """
        self._watch.check()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction that is durable at the end. Roll it back after an error.

        While another process copies the files, no transaction is moved from the WAL to the file.
        """
        with self._exclusive() as alone:
            pages = _CHECKPOINT_PAGES if alone else 0
            if pages != self._pages:
                self.connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
                self._pages = pages
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def rewrite(self) -> None:
        """Write the file anew without the bytes of deleted rows, and empty the WAL.

        The call waits while another process copies the files. No reader may be open.

        Raises:
            LogError: a file was removed, replaced or cut, or a reader is open.
        """
        self.require_files()
        fcntl.flock(self._wal, fcntl.LOCK_EX)
        try:
            self.connection.execute("VACUUM")
            busy, *_ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            fcntl.flock(self._wal, fcntl.LOCK_UN)
        if busy:
            raise LogError(f"{self.file.path}: is being read, so it cannot be rewritten; try again")
        for path in (self.file.path, self.file.wal):  # both files are shorter now
            self._watch.add(path)

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Open a connection that reads the log as of now.

        Raises:
            LogError: a file was removed, replaced or cut.
        """
        self.require_files()
        with closing(self.file.reader()) as reader:
            reader.execute("BEGIN")
            reader.execute(_READ).fetchall()  # all later reads see the same state
            self.require_files()  # the reader has opened the same files
            yield reader

    def close(self, *, checkpoint: bool = True) -> None:
        """Close the files.

        The last connection that is closed moves all transactions from the WAL to the file, and
        removes the WAL. A read-only connection does neither. So it is closed last if a file was
        removed, replaced or cut: the files that are left stay as they are.

        Args:
            checkpoint: Whether to move all transactions to the file. If not, the WAL stays.
        """
        connections = (self._reader, self.connection)
        try:
            self.require_files()
        except (LogError, OSError):
            checkpoint = False
        for connection in connections if checkpoint else reversed(connections):
            connection.close()
        os.close(self._wal)

    @contextmanager
    def _exclusive(self) -> Iterator[bool]:
        """Hold the exclusive lock of the WAL; yield False if another process copies the files."""
        try:
            fcntl.flock(self._wal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(self._wal, fcntl.LOCK_UN)
