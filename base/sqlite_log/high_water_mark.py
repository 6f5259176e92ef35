"""The high-water mark of a log: a file with the sequence number of the last acknowledged write.

A log whose last transactions were cut off is still a valid log. The mark shows that writes are
missing. It is written after a transaction is durable and before its writes are acknowledged. The
file is small and is overwritten in place, so a kill cannot leave it half written.

Transactions do not wait until the mark is on the disk, because this would double their time.
Therefore the mark can be some seconds old after a power failure. It then misses a loss of the
latest writes. The log itself waits for the disk, so a power failure alone loses no write.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from base.atomic_files import sync
from base.sqlite_log.file import LogError, LogFile
from base.sqlite_log.statements import digest

_READS = 3  # a reader may see half of a line that another process is just writing


@dataclass(frozen=True)
class HighWaterMark:
    """The last acknowledged write of a log."""

    log: str = ""  # id of the log
    sequence: int = 0  # number of acknowledged writes

    @classmethod
    def read(cls, path: Path) -> "HighWaterMark":
        """Read a mark; without a file, no write counts as acknowledged.

        Raises:
            LogError: the file is damaged.
        """
        for _ in range(_READS):
            try:
                line = path.read_bytes()
            except FileNotFoundError:
                line = b""
            parts = line.decode(errors="replace").split()
            if not line:
                return cls()
            if len(parts) == 3 and parts[0].isdecimal():
                mark = cls(parts[1], int(parts[0]))
                if mark.line == line:
                    return mark
        raise LogError(
            f"{path}: is damaged, so it cannot show whether the log lost writes; remove the file "
            "to go on with the writes that the log has"
        )

    @property
    def line(self) -> bytes:
        """The content of the file, with a digest. All marks of one log have the same length."""
        content = f"{self.sequence:020d} {self.log}"
        return f"{content} {digest(content).hex()}\n".encode()


class MarkFile:
    """The file of a mark, open for writing."""

    def __init__(self, path: Path, mark: HighWaterMark) -> None:
        """Open or create the file, and make its content durable."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self.write(mark)
            os.truncate(self._descriptor, len(mark.line))
            os.fsync(self._descriptor)
            sync(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def write(self, mark: HighWaterMark) -> None:
        """Replace the mark. A killed process does not lose it, but a power failure may."""
        os.pwrite(self._descriptor, mark.line, 0)

    def close(self) -> None:
        """Make the mark durable, and close the file."""
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


def lost(file: LogFile, path: Path, mark: HighWaterMark, last: int) -> LogError:
    """Return the error for a log that lacks acknowledged writes.

    Args:
        file: The log's file.
        path: The file of the mark.
        mark: The last acknowledged write.
        last: Sequence number of the last write that the log has; 0 if another log replaced it.
    """
    return LogError(
        f"{file.path}: has {last:,} of {mark.sequence:,} acknowledged writes (lost: "
        f"{mark.sequence - last:,}); restore the log from a copy, or remove {path} to go on "
        "without the lost writes"
    )
