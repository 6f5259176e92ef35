"""Files that are written atomically and durably."""

import os
import stat
import uuid
from pathlib import Path


def make_readable(directory: Path) -> None:
    """Give all files below a new directory the permissions that the directory itself has.

    Some libraries create files that only their owner may read, such as model weights. The process
    that made the directory gave it the permissions of its umask.
    """
    mode = stat.S_IMODE(directory.stat().st_mode)
    for path in directory.rglob("*"):
        if not path.is_symlink():
            path.chmod(mode if path.is_dir() else mode & 0o666)


def sync(path: Path) -> None:
    """Make a file's content durable. For a directory: make its file names durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically: readers see the whole old content or the whole new content.

    This is also true after a power failure. A killed process may leave a temporary file beside
    `path`. The file's name is a dot, the name of `path` and a random suffix.
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
