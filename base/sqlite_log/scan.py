"""The scan of a log's files for texts that were erased from it."""

import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from base.sqlite_log.file import LogError
from base.sqlite_log.open_log import OpenLog

_CHUNK_BYTES = 1 << 20
_HEADER_BYTES = 100  # of an SQLite file: counters and settings, but no rows


class NotErasedError(LogError):
    """A file of the log still has a text that was erased."""


def require_erased(log: OpenLog, texts: Collection[str]) -> int:
    """Scan the files of a log for texts that were erased; `OpenLog.rewrite` comes first.

    A text may also be part of a remaining row: the id "u1" is part of the id "u10". So if a text is
    found, SQLite writes a file of the remaining rows alone, and the log may have the text no more
    often than this file.

    Args:
        log: The log. No other thread may use it meanwhile.
        texts: The texts, such as the id of a user; not empty.

    Returns:
        The number of scanned bytes.

    Raises:
        NotErasedError: a file still has an erased text.
    """
    encoded = [text.encode() for text in texts]
    files = [log.file.path, log.file.wal]
    found, scanned = _counts(files, encoded)
    if found:
        with tempfile.TemporaryDirectory(prefix="shortlist-") as directory:
            remaining = Path(directory) / log.file.path.name
            log.connection.execute("VACUUM INTO ?", (str(remaining),))
            explained, _ = _counts([remaining], encoded)
        if found - explained:
            raise NotErasedError(
                f"{log.file.path}: still has data of the erased user; erase the user again"
            )
    return scanned


def _counts(files: Sequence[Path], texts: Sequence[bytes]) -> tuple[Counter[bytes], int]:
    """Return how often files have each text, and the number of bytes of the files."""
    found: Counter[bytes] = Counter()
    scanned = 0
    longest = max(map(len, texts), default=0)
    for path in files:
        with path.open("rb") as file:
            scanned += len(file.read(_HEADER_BYTES))
            before = b""
            while chunk := file.read(_CHUNK_BYTES):
                scanned += len(chunk)
                for text in texts:
                    overlap = before[max(len(before) - len(text) + 1, 0) :]
                    if count := (overlap + chunk).count(text):
                        found[text] += count
                before = chunk[-longest:]
    return found, scanned
