"""Locks that keep other processes out of a directory."""

from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from base.errors import InputError

LOCK_FILE = ".lock"


class DirectoryLock:
    """A lock on a directory, held until `release`.

    Any thread may release the lock. If the process is killed, the operating system releases it.
    """

    def __init__(self, directory: Path, conflict: str, *, private: bool = False) -> None:
        """Take the lock of an existing directory.

        Args:
            directory: The directory to lock.
            conflict: The error message if another process holds the lock.
            private: Whether only this user may open the lock file.

        Raises:
            InputError: another process holds the lock.
        """
        # `thread_local=False`, because another thread may release the lock.
        file = directory / LOCK_FILE
        if private:
            self._lock = FileLock(file, mode=0o600, thread_local=False)
        else:
            self._lock = FileLock(file, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(conflict) from None

    def release(self) -> None:
        """Let other processes take the lock."""
        self._lock.release()

    def __enter__(self) -> "DirectoryLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
