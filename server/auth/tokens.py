"""Bearer tokens and their roles, from a file that is reloaded while the server runs."""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from base.errors import InputError
from server.auth.reloading import ReloadedFiles
from server.auth.secret_files import SecretFile, warn_if_exposed

_LINE = re.compile(r"(\w+)\s*:\s*([0-9a-fA-F]{64})")


class Role(StrEnum):
    """A permission of a token; a token may have several roles."""

    READ = "read"  # search, retrieve, embed, rerank, read items, list curations
    WRITE = "write"  # change items and curations
    RECORD = "record"  # record events
    ADMIN = "admin"  # use AdminService


Entries: TypeAlias = Sequence[tuple[Role, str]]  # a role and the SHA-256 of a token


class UnauthenticatedError(Exception):
    """A call has no token, or its token is not in the token file."""


class RoleMissingError(Exception):
    """A call's token lacks the role that the method needs.

    Attributes:
        role: The role that the method needs.
    """

    def __init__(self, role: Role) -> None:
        super().__init__(f"the token does not have the role {role.value!r}")
        self.role = role


class Tokens:
    """The tokens of a file. Each line has a role and the SHA-256 of a token: `read: 9f86d0…`.

    The SHA-256 is hexadecimal. A token with several roles has one line for each role. Empty lines
    and lines that begin with `#` are ignored.
    """

    def __init__(self, path: Path, reload_seconds: float = 0.5) -> None:
        """Read the file.

        Args:
            path: The file of tokens.
            reload_seconds: The shortest time between two reads of the file.

        Raises:
            InputError: The file cannot be read, has an invalid line, or has no token.
        """
        self._path = path
        self._file: ReloadedFiles[SecretFile, Entries] = ReloadedFiles(
            f"--tokens {path}",
            lambda: SecretFile.read("--tokens", path),
            self._parse,
            reload_seconds,
        )

    def check(self, token: str | None, role: Role) -> None:
        """Check that a token has a role.

        Raises:
            UnauthenticatedError: `token` is None or not in the file.
            RoleMissingError: The token does not have the role.
        """
        self._check(self._file.value(), token, role)

    def recheck(self, token: str | None, role: Role) -> Callable[[], None]:
        """Return a function that repeats `check` if the file has changed since its last call.

        An unchanged file costs no comparison, so the function may be called for every message.
        """
        checked: Entries | None = None

        def check() -> None:
            nonlocal checked
            entries = self._file.value()
            if entries is not checked:
                self._check(entries, token, role)
                checked = entries

        return check

    @staticmethod
    def _check(entries: Entries, token: str | None, role: Role) -> None:
        if token is None:
            raise UnauthenticatedError("the call needs a token: authorization: Bearer TOKEN")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        # All entries are compared, so that the time of a check reveals nothing about the tokens.
        roles = {granted for granted, known in entries if hmac.compare_digest(digest, known)}
        if not roles:
            raise UnauthenticatedError("the token is unknown or was removed")
        if role not in roles:
            raise RoleMissingError(role)

    def _parse(self, file: SecretFile) -> Entries:
        entries = []
        lines = file.content.decode("utf-8", "replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None or match[1] not in set(Role):
                # The message omits the line, which may be a token pasted by mistake.
                raise InputError(
                    f"--tokens {self._path} line {number}: not `ROLE: SHA-256`, where ROLE is one "
                    f"of {', '.join(Role)} and SHA-256 64 hexadecimal digits"
                )
            entries.append((Role(match[1]), match[2].lower()))
        if not entries:
            raise InputError(f"--tokens {self._path}: holds no token")
        warn_if_exposed("--tokens", self._path, file)
        return entries
