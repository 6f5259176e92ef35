"""Curations in the write-ahead log: a stack of the latest versions of each curation.

The log does not read the content of a curation. A change adds a version. An undo takes the last
version away, and adds the version below it again, with the number of the undo.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from base.errors import RequestError, check_count, check_text
from base.sqlite_log.file import LogFile
from base.sqlite_log.statements import digest
from live.log.write import MAX_REQUEST_ID_CHARACTERS

KEPT_VERSIONS = 20  # number of versions that the log keeps of each curation
MAX_ID_CHARACTERS = 64
MAX_AUTHOR_CHARACTERS = 100

# A row of the table `curations`: sequence, id, content or None for a deletion, author, time, digest
CurationRow: TypeAlias = tuple[int, str, str | None, str, str, bytes]

TABLE = (
    "CREATE TABLE curations (sequence INTEGER PRIMARY KEY, curation_id TEXT NOT NULL,"
    " content TEXT, author TEXT NOT NULL, time TEXT NOT NULL, digest BLOB NOT NULL)"
)
INDEX = "CREATE INDEX curations_by_id ON curations (curation_id)"


def add_table(connection: sqlite3.Connection) -> None:
    """Add the table of curations to a log of format 2."""
    for statement in (TABLE, INDEX):
        connection.execute(statement)


class Action(StrEnum):
    """The kinds of changes of a curation."""

    SET = "set"
    DELETE = "delete"
    UNDO = "undo"


class UnknownCurationError(Exception):
    """There is no curation with an id."""

    def __init__(self, curation_id: str) -> None:
        super().__init__(f"there is no curation {curation_id!r}")
        self.curation_id = curation_id


class RevisionMismatchError(Exception):
    """A curation does not have the revision that the caller expects."""

    def __init__(self, revision: int) -> None:
        present = f"has revision {revision}" if revision else "does not exist"
        super().__init__(f"the curation {present}, so it was changed meanwhile; read it again")
        self.revision = revision


class NothingToUndoError(Exception):
    """A curation has no earlier version."""

    def __init__(self) -> None:
        super().__init__("the server keeps no earlier version of the curation")


@dataclass(frozen=True)
class CurationChange:
    """One change of a curation that a caller requests.

    Raises:
        RequestError: an id or the author is out of its limits.
    """

    request_id: str  # 1 to 64 characters; a change with a known request id changes nothing
    curation_id: str  # 1 to 64 characters
    action: Action
    time: datetime  # when the change is made, with a time zone
    content: str | None = None  # the new content of `SET`, in a canonical form
    author: str = ""
    expected_revision: int | None = None  # None: any; 0: the curation must not exist

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        for name, low, high in (
            ("request_id", 1, MAX_REQUEST_ID_CHARACTERS),
            ("curation_id", 1, MAX_ID_CHARACTERS),
            ("author", None, MAX_AUTHOR_CHARACTERS),
        ):
            text = getattr(self, name)
            check_text(text, name)
            check_count(len(text), name, low, high, "characters")
        if self.expected_revision is not None and self.expected_revision < 0:
            raise RequestError("expected_revision", "is negative; give 0 or a revision")

    @property
    def digest(self) -> bytes:
        """A hash of everything but the request id and the time."""
        parts = (self.curation_id, self.content, self.author, self.expected_revision)
        return digest(f"curation {json.dumps([self.action.value, *parts])}")


@dataclass(frozen=True)
class CurationVersion:
    """One version of a curation."""

    curation_id: str
    revision: int  # sequence number of the change that made the version
    content: str | None  # None: the curation is deleted
    author: str
    time: datetime


@dataclass(frozen=True)
class PlannedChange:
    """The rows that a change adds to the table `curations` and removes from it."""

    added: CurationRow
    removed: tuple[CurationRow, ...]


def row_digest(*content: object) -> bytes:
    """Return the digest of a row, given its other columns. A damaged row can have other types."""
    return digest(f"curation {json.dumps(content, default=repr)}")


def intact(file: LogFile, row: Any) -> CurationRow:
    """Return a row of the table `curations` if it has the digest of its content.

    Raises:
        LogError: the row is not as it was written.
    """
    *content, stored = row
    if stored != row_digest(*content):
        name = f"curation {content[1]!r} of write {content[0]}"
        raise file.damaged(f"{name} is not as it was written")
    sequence, curation_id, text, author, time, stored = row
    return sequence, curation_id, text, author, time, stored


def versions_of(
    file: LogFile, connection: sqlite3.Connection, curation_id: str
) -> list[CurationRow]:
    """Return the kept versions of a curation, the latest last."""
    query = "SELECT * FROM curations WHERE curation_id = ? ORDER BY sequence"
    return [intact(file, row) for row in connection.execute(query, (curation_id,))]


def latest(file: LogFile, reader: sqlite3.Connection, after: int) -> Iterator[CurationVersion]:
    """Yield the latest version of each curation that was changed after a write, in sequence order.

    Raises:
        LogError: a row is not as it was written.
    """
    query = (
        "SELECT * FROM curations AS version WHERE sequence > ? AND NOT EXISTS (SELECT 1 FROM"
        " curations WHERE curation_id = version.curation_id AND sequence > version.sequence)"
        " ORDER BY sequence"
    )
    for row in reader.execute(query, (after,)):
        yield to_version(intact(file, row))


def to_version(row: CurationRow) -> CurationVersion:
    """Return an intact row as a version."""
    sequence, curation_id, content, author, time, _ = row
    return CurationVersion(curation_id, sequence, content, author, datetime.fromisoformat(time))


def plan(
    change: CurationChange, versions: Sequence[CurationRow], sequence: int, kept: int
) -> PlannedChange:
    """Return the rows that a change adds and removes.

    Args:
        change: The change.
        versions: The kept versions of the curation, the latest last.
        sequence: The sequence number of the change.
        kept: Number of versions to keep.

    Raises:
        UnknownCurationError: there is no curation to delete, or none to undo a change of.
        RevisionMismatchError: the curation does not have the expected revision.
        NothingToUndoError: there is no earlier version.
    """
    revision, content = (versions[-1][0], versions[-1][2]) if versions else (0, None)
    allowed = {revision, 0} if content is None else {revision}
    if change.expected_revision is not None and change.expected_revision not in allowed:
        raise RevisionMismatchError(revision)
    is_unknown = {
        Action.SET: False,
        Action.DELETE: content is None,
        Action.UNDO: not versions,  # the undo of a deletion brings the curation back
    }
    if is_unknown[change.action]:
        raise UnknownCurationError(change.curation_id)
    removed, content = tuple(versions[: max(len(versions) + 1 - kept, 0)]), change.content
    if change.action is Action.UNDO:
        if len(versions) < 2:
            raise NothingToUndoError
        removed, content = tuple(versions[-2:]), versions[-2][2]
    columns = (sequence, change.curation_id, content, change.author, change.time.isoformat())
    return PlannedChange((*columns, row_digest(*columns)), removed)
