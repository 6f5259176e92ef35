"""Files that are written whole, and that stay written when the power fails."""

import os
import uuid
from pathlib import Path


def sync(path: Path) -> None:
    """Make durable what a file holds; of a directory, the names in it and not what they hold."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file so that readers see the old one or the whole new one.

    It is that also after the power failed. A killed process may leave a file that is named
    like `path`, with a dot before it and more behind.
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
