"""What is written stays written, also when the power fails."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make durable what a file holds; of a directory, the names in it and not what they hold."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
