"""Files and directories that are written atomically and durably."""

import os
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


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


def write_directory(target: Path, build: Callable[[Path], Result]) -> Result:
    """Write a directory atomically, even if the power fails.

    Args:
        target: The directory. An existing directory stays until the new directory is complete.
        build: A function that gets the path of an empty directory and fills the directory.

    Returns:
        The result of `build`.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.old")
    fresh = target.with_name(f".{target.name}.new")
    if old.is_dir() and not target.exists():
        old.rename(target)  # an earlier process was killed between the two renames below
    for leftover in (old, fresh):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir()
    try:
        result = build(fresh)
        make_readable(fresh)
        _sync_all(fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
    return result


def _sync_all(directory: Path) -> None:
    """Flush the contents and the names of all files below a directory to the disk."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            sync(path)
