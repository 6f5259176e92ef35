"""Files that are written atomically and durably."""

import os
import uuid
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's content durable; for a directory, the names in it but not their contents."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file so that readers see the old content or all of the new one.

    A power failure leaves either of the two as well. A killed process may leave a file whose name
    is that of `path` with a dot in front and a suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
