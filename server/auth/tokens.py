"""Bearer tokens and what they are good for, from a file that may be replaced."""

import hashlib
import hmac
import logging
import re
import stat
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from base.errors import InputError
from server.auth.reloading import Rotating

logger = logging.getLogger(__name__)

_SECONDS = 0.5  # after which a change of the file is noticed
_LINE = re.compile(r"(\w+)\s*:\s*([0-9a-fA-F]{64})")


class Role(StrEnum):
    """What a token is good for; a token may have several."""

    READ = "read"  # search, retrieve, embed, rerank, look items up
    WRITE = "write"  # change items
    ADMIN = "admin"  # AdminService


Entries: TypeAlias = Sequence[tuple[Role, str]]  # a role and the SHA-256 of a token


class UnauthenticatedError(Exception):
    """A call shows no token that the server knows."""


class RoleMissingError(Exception):
    """A call's token is known, and not good for its method.

    Attributes:
        role: What the method needs.
    """

    def __init__(self, role: Role) -> None:
        super().__init__(f"the token does not have the role {role.value!r}")
        self.role = role


class Tokens:
    """The tokens of a file: a line each, `ROLE: SHA-256 OF THE TOKEN`, in hexadecimal.

    A token of several roles has a line for each. Empty lines and those that begin with `#` count
    for nothing.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            InputError: it cannot be read, a line is not of that form, or there is none.
        """
        self._path = path
        self._file: Rotating[bytes, Entries] = Rotating(
            f"--tokens {path}", self._read, self._parse, _SECONDS
        )

    def check(self, token: str | None, role: Role) -> None:
        """Let a token pass that has a role.

        Raises:
            UnauthenticatedError: there is none, or it is not in the file.
            RoleMissingError: it does not have the role.
        """
        if token is None:
            raise UnauthenticatedError("the call needs a token: authorization: Bearer TOKEN")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        # All of them, whichever fits: the time it takes tells nothing.
        roles = {known for known, other in self._file.value() if hmac.compare_digest(digest, other)}
        if not roles:
            raise UnauthenticatedError("the token is not known, or not any more")
        if role not in roles:
            raise RoleMissingError(role)

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise InputError(f"--tokens {self._path}: {error.strerror}") from None

    def _mode(self) -> int:
        try:
            return self._path.stat().st_mode
        except OSError as error:  # gone since it was read
            raise InputError(f"--tokens {self._path}: {error.strerror}") from None

    def _parse(self, content: bytes) -> Entries:
        entries = []
        lines = content.decode("utf-8", "replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None or match[1] not in set(Role):
                # Without the line itself: it may be a token that somebody pasted.
                raise InputError(
                    f"--tokens {self._path} line {number}: not `ROLE: SHA-256`, where ROLE is one "
                    f"of {', '.join(Role)} and SHA-256 64 hexadecimal digits"
                )
            entries.append((Role(match[1]), match[2].lower()))
        if not entries:
            raise InputError(f"--tokens {self._path}: holds no token")
        if self._mode() & stat.S_IROTH:
            logger.warning("--tokens %s can be read by everybody: chmod o-r", self._path)
        return entries
