"""A small file system of its own, which a test can fill up."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_FILLER = "filler"


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system in memory."""

    path: Path

    def fill(self) -> None:
        """Write a file until no byte is free."""
        with (self.path / _FILLER).open("ab", buffering=0) as file:
            for size in (2**16, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Remove the file that `fill` wrote."""
        (self.path / _FILLER).unlink()


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[SmallDisk]:
    """Mount a file system at a new directory; skip the test if that is not possible.

    Args:
        path: The directory.
        size: The size of the file system, such as "4m" for 4 MiB.
    """
    path.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command, so no small disk to fill")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        # Files of the disk may still be mapped into memory; then the disk goes with the last one.
        subprocess.run(("umount", "--lazy", str(path)), check=True)
