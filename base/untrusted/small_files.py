"""Files that are read as a whole, up to a limit."""

import json
import stat
from pathlib import Path
from typing import Any

from base.errors import InputError
from base.untrusted import limits


def read_bytes(path: Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not a regular file, or has more bytes.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        raise ValueError("it is not a regular file")
    if status.st_size > most:
        raise ValueError(f"it has {status.st_size:,} bytes, and at most {most:,} are read")
    with path.open("rb") as file:
        return file.read(most)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: the file is missing, too large, or not a JSON object.
    """
    try:
        content = json.loads(read_bytes(path, limits.JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object")
    return content
