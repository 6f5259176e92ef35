"""The file of the event log: its tables and rows, and its reading in another process.

- `events` has one row per event. Rows are only added, unless a user is erased or events expire.
- `sessions` has the user of each session that was joined to a user.
- `opted_out` has a digest of the id of each user who opted out: a digest, because the log must
  refuse events of such a user even after the user is erased. If the user opted in again, `sequence`
  is the number of the log's last event then: events up to it do not count for the user.
- `progress` has one row: the sequence number of the last event, and whether the file still has
  bytes of deleted rows.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from base.sqlite_log.file import CopyFile, LogFile, LogFormat, NoLogError
from base.sqlite_log.high_water_mark import HighWaterMark, lost
from base.sqlite_log.statements import DIGEST_BYTES
from behaviour.events import Event

DIRECTORY = "events"  # directory of the log, inside the directory that --state names
FILE = "events.sqlite3"
MARK = "events.mark"
ALL = 2**63 - 1  # a sequence number after all events

_OPTED_OUT = "CREATE TABLE opted_out (user BLOB PRIMARY KEY, sequence INTEGER) WITHOUT ROWID"


def _upgrade_format_1(connection: sqlite3.Connection) -> None:
    """Add the column `sequence` of opt-outs, and turn blank ids of people into null."""
    connection.execute("UPDATE events SET user_id = NULL WHERE trim(user_id) = ''")
    connection.execute("UPDATE events SET session_id = NULL WHERE trim(session_id) = ''")
    users = connection.execute("SELECT user FROM opted_out").fetchall()
    connection.execute("DROP TABLE opted_out")
    connection.execute(_OPTED_OUT)
    connection.executemany("INSERT INTO opted_out (user) VALUES (?)", users)


def _upgrade_format_2(connection: sqlite3.Connection) -> None:
    """Add the column `promotion_id`."""
    connection.execute("ALTER TABLE events ADD COLUMN promotion_id TEXT")


_FORMAT = LogFormat(
    application_id=0x53484556,  # "SHEV"
    version=3,
    tables=(
        "CREATE TABLE events (sequence INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE,"
        " time INTEGER NOT NULL, type TEXT NOT NULL, item_id TEXT NOT NULL, user_id TEXT,"
        " session_id TEXT, query TEXT, position INTEGER, request_id TEXT, bundle_id TEXT,"
        " context TEXT, propensity REAL, price REAL, quantity REAL, promotion_id TEXT)",
        "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, user_id TEXT NOT NULL,"
        " time INTEGER NOT NULL) WITHOUT ROWID",
        _OPTED_OUT,
        "CREATE TABLE progress (sequence INTEGER NOT NULL, erased INTEGER NOT NULL)",
    ),
    upgrades=MappingProxyType({1: _upgrade_format_1, 2: _upgrade_format_2}),
    directory="give the directory that a server uses as --state",
    other_directory="give another --state",
    restart=f"move {FILE} and {MARK} away to start without earlier events",
)

_READ = (
    "SELECT sessions.user_id, events.* FROM events LEFT JOIN sessions"
    " ON events.user_id IS NULL AND events.session_id = sessions.session_id"
)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of the log."""

    sequence: int  # 1, 2, 3, … in the order in which the log took the events
    event: Event
    user_id: str | None  # the event's user, or the user to whom its session was joined

    @property
    def resolved(self) -> Event:
        """The event with the user to whom its session was joined."""
        if self.user_id == self.event.user_id:
            return self.event
        return replace(self.event, user_id=self.user_id)


def log_file(state: Path) -> LogFile:
    """Return the file of the log in a state directory, whether or not the file exists."""
    return LogFile(state.resolve() / DIRECTORY / FILE, _FORMAT)


def mark_path(file: LogFile) -> Path:
    """Return the path of the high-water mark of a log."""
    return file.path.with_name(MARK)


@dataclass(frozen=True, slots=True)
class OptOuts:
    """The users who opted out at any time."""

    log: str  # id of the log
    # The last event that does not count for a user, by the digest of the user's id.
    last_forgotten: dict[bytes, int]

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> "OptOuts":
        """Read the opt-outs of a log."""
        rows = connection.execute("SELECT user, coalesce(sequence, ?) FROM opted_out", (ALL,))
        return cls(head(connection)[0], dict(rows.fetchall()))

    def last_forgotten_of(self, user_id: str | None) -> int:
        """Return the sequence number of the last event that does not count for a user.

        It is 0 if all events count, and ALL while the user has opted out.
        """
        if user_id is None or not self.last_forgotten:
            return 0
        return self.last_forgotten.get(user_digest(self.log, user_id), 0)

    def anonymous(self, stored: StoredEvent) -> StoredEvent:
        """Return an event without its person if it does not count for its user."""
        forgotten = stored.sequence <= self.last_forgotten_of(stored.user_id)
        return without_person(stored) if forgotten else stored


@contextmanager
def copied(state: Path, copy_file: CopyFile = shutil.copyfile) -> Iterator[Iterator[StoredEvent]]:
    """Check a copy of the log and yield its events, without changing it. A server may write to it.

    Events of users who opted out later have no user and no session.

    Args:
        state: The directory that `--state` names.
        copy_file: Copies one file to another path.

    Raises:
        NoLogError: the directory has no log yet.
        LogError: the log cannot be read, is damaged, or has lost acknowledged events.
    """
    file = log_file(state)
    mark = HighWaterMark.read(mark_path(file))  # first: later events may be in the log
    with file.reporting("cannot be read"):
        try:
            with file.copy(copy_file) as copy:
                check(file, copy, mark)
                yield map(OptOuts.read(copy).anonymous, stored_events(copy))
        except NoLogError as error:
            raise lost(file, mark_path(file), mark, 0) if mark.sequence else error from None


def check(file: LogFile, connection: sqlite3.Connection, mark: HighWaterMark) -> None:
    """Check the whole log.

    Raises:
        LogError: the log is damaged, or it has lost acknowledged events.
    """
    file.check_integrity(connection)
    log, last = head(connection)
    (newest,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()
    if newest > last:
        raise file.damaged("its events are not those that were written")
    kept = last if log == mark.log else 0
    if kept < mark.sequence:
        raise lost(file, mark_path(file), mark, kept)


def head(connection: sqlite3.Connection) -> tuple[str, int]:
    """Return the id of the log, and the sequence number of its last event (0: no event yet)."""
    (log,) = connection.execute("SELECT CAST(id AS TEXT) FROM log").fetchone()
    row = connection.execute("SELECT sequence FROM progress").fetchone()
    return log, row[0] if row else 0


def stored_events(
    connection: sqlite3.Connection, where: str = "", values: tuple[Any, ...] = ()
) -> Iterator[StoredEvent]:
    """Yield events in order of their sequence number.

    Args:
        connection: Reads the log, or a copy of it.
        where: A condition on the rows of `events`, which selects the events; empty for all events.
        values: The values of the condition's parameters.
    """
    condition = f" WHERE {where}" if where else ""
    for joined, sequence, *columns in connection.execute(
        f"{_READ}{condition} ORDER BY sequence", values
    ):
        columns[10] = json.loads(columns[10]) if columns[10] else {}
        event = Event(*columns)
        yield StoredEvent(sequence, event, event.user_id or joined)


def without_person(stored: StoredEvent) -> StoredEvent:
    """Return an event without its user and session."""
    event = replace(stored.event, user_id=None, session_id=None)
    return replace(stored, event=event, user_id=None)


def row_of(sequence: int, event: Event) -> tuple[Any, ...]:
    """Return the row of the table `events` for an event."""
    return (
        sequence,
        event.event_id,
        event.time,
        event.type,
        event.item_id,
        event.user_id,
        event.session_id,
        event.query,
        event.position,
        event.request_id,
        event.bundle_id,
        json.dumps(dict(event.context), ensure_ascii=False) if event.context else None,
        event.propensity,
        event.price,
        event.quantity,
        event.promotion_id,
    )


def user_digest(log: str, user_id: str) -> bytes:
    """Return a digest of a user id; equal ids have other digests in other logs."""
    key = log.encode()
    return hashlib.blake2b(user_id.encode(), digest_size=DIGEST_BYTES, key=key).digest()
