"""Files that only the server should be able to read: private keys and tokens."""

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from base.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SecretFile:
    """The state of a file at one time; two equal states need no reload.

    Attributes:
        content: The bytes of the file.
        mode: The type and the permissions of the file, as `os.stat` returns them.
        owner: The id of the user who owns the file.
    """

    content: bytes
    mode: int
    owner: int

    @classmethod
    def read(cls, flag: str, path: Path) -> "SecretFile":
        """Read a file.

        Raises:
            InputError: The file cannot be read. The message names `flag`.
        """
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                return cls(file.read(), status.st_mode, status.st_uid)
        except OSError as error:
            raise InputError(f"{flag} {path}: {error.strerror}") from None

    def is_exposed(self, user: int) -> bool:
        """Return whether other users than `user`, who runs the server, can read or change the file.

        A group may read a file of another owner. For example, Kubernetes mounts the secrets of a
        pod as files of root, which only the group of the pod can read. A group may also read a file
        of root if root runs the server.
        """
        if self.mode & (stat.S_IROTH | stat.S_IWOTH):
            return True
        return bool(self.mode & (stat.S_IRGRP | stat.S_IWGRP)) and self.owner == user != 0


def warn_if_exposed(flag: str, path: Path, file: SecretFile) -> None:
    """Log a warning if other users can read or change a file."""
    if file.is_exposed(os.geteuid()):
        fields = {"flag": flag, "path": str(path)}
        logger.warning(
            "other users can read or change a secret file; run chmod 600", extra={"fields": fields}
        )
