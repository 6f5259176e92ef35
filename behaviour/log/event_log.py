"""The event log in a state directory, open for writing.

An event is on the disk before `append` returns. Events with the same id are one event.
`remove_user` and `rewrite` erase a user: they delete the rows, overwrite their bytes and rewrite
the file.
"""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from base.errors import RequestError
from base.failpoints import failpoint
from base.locks import DirectoryLock
from base.sqlite_log.file import NoLogError, make_directory
from base.sqlite_log.high_water_mark import HighWaterMark, MarkFile, lost
from base.sqlite_log.open_log import OpenLog
from base.sqlite_log.scan import require_erased
from base.sqlite_log.statements import insert, select_in
from behaviour.events import Event
from behaviour.log import format as format_
from behaviour.log.format import ALL, OptOuts, StoredEvent, row_of, stored_events, user_digest


@dataclass(frozen=True)
class Appended:
    """The outcome of one call."""

    sequence: int  # sequence number of the log's last event after the call
    accepted: int  # number of new events
    duplicates: int  # number of events whose id the log had
    dropped: int  # number of events that are not kept: their user opted out, or they are too old


@dataclass(frozen=True)
class Removed:
    """What `remove_user` removed."""

    events: Sequence[StoredEvent]
    sessions: frozenset[str]  # sessions of the user, and of removed events without a user


class EventLog:
    """The log of events in one state directory. A lock keeps other writing processes out.

    Threads may share a log; it runs one call at a time.

    Attributes:
        id: Unique id of this log.
        sequence: Sequence number of the last event; 0 before the first event.
    """

    def __init__(self, log: OpenLog, mark: MarkFile, lock: DirectoryLock) -> None:
        self._file = log.file
        self._log = log
        self._mark = mark
        self._directory_lock = lock
        self._lock = threading.RLock()
        self._closed = False
        self._unreported: list[StoredEvent] = []  # durable events that no call has returned yet
        if log.connection.execute("SELECT count(*) FROM progress").fetchone() == (0,):
            log.connection.execute("INSERT INTO progress VALUES (0, 0)")
        self.id, self.sequence = format_.head(log.connection)
        self._opt_outs = OptOuts.read(log.connection)

    @classmethod
    def open(cls, state: Path) -> "EventLog":
        """Check and open the log in a state directory; create it if need be.

        A lost log is not created anew. An erasure that a kill interrupted is finished.

        Args:
            state: The directory that `--state` names.

        Raises:
            InputError: another process holds the lock of the log.
            LogError: the file cannot be read or written, belongs to another program, has an
                unknown format, is damaged, or has lost events.
        """
        file = format_.log_file(state)
        mark_path = format_.mark_path(file)
        with file.reporting_directory("cannot be used"):
            make_directory(file.path.parent)
            lock = DirectoryLock(
                file.path.parent,
                f"another process is writing to {file.path.parent}; stop it, or give another "
                "--state",
                private=True,
            )
        with ExitStack() as opened, file.reporting("cannot be opened"):
            opened.callback(lock.release)
            mark = HighWaterMark.read(mark_path)
            try:
                log = OpenLog(file, create=mark.sequence == 0)
            except NoLogError:
                raise lost(file, mark_path, mark, 0) from None
            opened.callback(log.close, checkpoint=False)  # a log that is refused stays as it is
            log.connection.execute("PRAGMA secure_delete = ON")
            format_.check(file, log.connection, mark)
            mark_file = MarkFile(mark_path, HighWaterMark(*format_.head(log.connection)))
            opened.callback(mark_file.close)
            log.watch(mark_path)
            events = cls(log, mark_file, lock)
            events.rewrite()
            opened.pop_all()
            return events

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(
        self, calls: Sequence[Sequence[Event]], earliest: int = 0
    ) -> tuple[list[Appended], list[StoredEvent]]:
        """Make the events of several calls durable, in one transaction.

        Args:
            calls: The events of each call.
            earliest: Events before this time are dropped, in microseconds since 1970.

        Returns:
            The outcome of each call, and the new events of all calls. If an earlier `append` failed
            after its events were durable, these events are among the new ones.

        Raises:
            LogError: the file cannot be written, or a file of the log was removed, replaced or cut.
                After a disk failure, the events may or may not be durable. The caller can safely
                send them again.
        """
        with self._writing():
            _, self.sequence = format_.head(self._log.connection)
            known = self._known([event for events in calls for event in events])
            users = self._users([event for events in calls for event in events])
            outcomes: list[Appended] = []
            new: list[StoredEvent] = []
            for events in calls:
                before, dropped = len(new), 0
                for event in events:
                    user = event.user_id or users.get(event.session_id)
                    if event.event_id in known:
                        continue
                    if event.time < earliest or self.has_opted_out(user):
                        dropped += 1
                        continue
                    known.add(event.event_id)
                    new.append(StoredEvent(self.sequence + len(new) + 1, event, user))
                accepted = len(new) - before
                outcomes.append(
                    Appended(
                        self.sequence + len(new),
                        accepted,
                        len(events) - accepted - dropped,
                        dropped,
                    )
                )
            if new:
                self._commit(new)
            new, self._unreported = self._unreported, []
            return outcomes, new

    def events(self) -> Iterator[StoredEvent]:
        """Yield all events in the order in which the log took them.

        Raises:
            LogError: the file cannot be read, or is damaged.
        """
        with self._file.reporting("cannot be read"), self._log.reader() as reader:
            yield from stored_events(reader)

    def oldest(self) -> int | None:
        """Return the time of the earliest event in microseconds since 1970; None without events.

        Raises:
            LogError: the file cannot be read, or is damaged.
        """
        with self._file.reporting("cannot be read"), self._log.reader() as reader:
            (time,) = reader.execute("SELECT min(time) FROM events").fetchone()
            return None if time is None else int(time)

    @property
    def size_bytes(self) -> int:
        """The size of the files of the log; 0 for a file that was removed."""
        files = (self._file.path, self._file.wal)
        return sum(file.stat().st_size for file in files if file.exists())

    def sessions(self) -> list[tuple[str, str]]:
        """Return each joined session and its user, in the order of the joins."""
        with self._file.reporting("cannot be read"), self._log.reader() as reader:
            return reader.execute(
                "SELECT session_id, user_id FROM sessions ORDER BY time"
            ).fetchall()

    def join(self, session_id: str, user_id: str, time: int) -> bool:
        """Record that the earlier and later events of a session are those of a user.

        Args:
            session_id: The session.
            user_id: The user.
            time: Now, in microseconds since 1970.

        Returns:
            False if the session was joined to this user before.

        Raises:
            RequestError: the session was joined to another user.
            LogError: the file cannot be written.
        """
        with self._writing():
            connection = self._log.connection
            query = "SELECT user_id FROM sessions WHERE session_id = ?"
            row = connection.execute(query, (session_id,)).fetchone()
            if row is not None and row[0] != user_id:
                raise RequestError(
                    "session_id", "was joined to another user; give each user a new session id"
                )
            if row is None:
                with self._log.transaction():
                    values = (session_id, user_id, time)
                    connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", values)
            return row is None

    def opt_out(self, user_id: str, opted_out: bool = True) -> None:
        """Record that later events of a user are dropped, or that they are kept again.

        The events before an opt-in never count for the user again.

        Raises:
            LogError: the file cannot be written.
        """
        statement = (
            "REPLACE INTO opted_out VALUES (?, NULL)"
            if opted_out
            else "UPDATE opted_out SET sequence = (SELECT sequence FROM progress)"
            " WHERE user = ? AND sequence IS NULL"
        )
        with self._writing():
            with self._log.transaction():
                self._log.connection.execute(statement, (user_digest(self.id, user_id),))
            self._opt_outs = OptOuts.read(self._log.connection)

    def has_opted_out(self, user_id: str | None) -> bool:
        """Return whether events of a user are dropped."""
        return self.last_forgotten(user_id) == ALL

    def last_forgotten(self, user_id: str | None) -> int:
        """Return the last event that does not count for a user; see `OptOuts`."""
        return self._opt_outs.last_forgotten_of(user_id)

    def anonymous(self, stored: StoredEvent) -> StoredEvent:
        """Return an event without its person if it does not count for its user."""
        return self._opt_outs.anonymous(stored)

    def remove_user(self, user_id: str) -> Removed:
        """Remove the events and the joined sessions of a user. `rewrite` then removes their bytes.

        Events without a user are removed, too, if their session was joined to the user. They are
        also removed if the user has events in their session and it was joined to nobody else. The
        digest of a user who has opted out stays.

        Raises:
            LogError: the file cannot be written.
        """
        sessions = (
            "SELECT session_id FROM sessions WHERE user_id = ?1 UNION"
            " SELECT session_id FROM events WHERE user_id = ?1 AND session_id IS NOT NULL"
            " AND session_id NOT IN (SELECT session_id FROM sessions WHERE user_id != ?1)"
        )
        where = (
            f"events.user_id = ?1 OR (events.user_id IS NULL AND events.session_id IN ({sessions}))"
        )
        with self._writing():
            connection, user = self._log.connection, (user_id,)
            removed = list(stored_events(connection, where, user))
            own = {session for (session,) in connection.execute(sessions, user)}
            rows = f"FROM events WHERE {where}"
            with self._log.transaction():
                connection.execute(f"DELETE {rows}", user)
                connection.execute("DELETE FROM sessions WHERE user_id = ?", user)
                opted_in = "DELETE FROM opted_out WHERE user = ? AND sequence IS NOT NULL"
                connection.execute(opted_in, (user_digest(self.id, user_id),))
                connection.execute("UPDATE progress SET erased = 1")
            self._opt_outs = OptOuts.read(connection)
            failpoint("events.after-erasure")
            return Removed(removed, frozenset(own))

    def rewrite(self, erased: Collection[str] = ()) -> int:
        """Rewrite the file if it may have bytes of removed users. Appends wait meanwhile.

        Args:
            erased: Texts for which the files are then scanned: the ids of the removed users and of
                their sessions.

        Returns:
            The number of scanned bytes.

        Raises:
            LogError: the file cannot be written.
            NotErasedError: a file still has a text of `erased` that no remaining row has.
        """
        with self._writing():
            connection, scanned = self._log.connection, 0
            if connection.execute("SELECT erased FROM progress").fetchone() == (1,):
                self._log.rewrite()
                if erased:
                    scanned = require_erased(self._log, erased)
                failpoint("events.after-rewrite")
                connection.execute("UPDATE progress SET erased = 0")
            return scanned

    def expire(self, earliest: int) -> int:
        """Remove the events before a time, and sessions that were joined before and have no event.

        Args:
            earliest: The time of the earliest event to keep, in microseconds since 1970.

        Returns:
            The number of removed events.

        Raises:
            LogError: the file cannot be written.
        """
        unused = (
            "FROM sessions WHERE time < ? AND session_id NOT IN"
            " (SELECT session_id FROM events WHERE session_id IS NOT NULL)"
        )
        with self._writing(), self._log.transaction():
            connection = self._log.connection
            removed = connection.execute("DELETE FROM events WHERE time < ?", (earliest,)).rowcount
            if removed:
                connection.execute(f"DELETE {unused}", (earliest,))
            return removed

    def close(self) -> None:
        """Close the file and release the lock."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._log.close()
            self._mark.close()
            self._directory_lock.release()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ValueError("the log is closed")
            with self._file.reporting("cannot be written"):
                self._log.require_files()
                yield

    def _known(self, events: Sequence[Event]) -> set[str]:
        """Return the ids that the log has."""
        query = "SELECT event_id FROM events WHERE event_id IN"
        ids = [event.event_id for event in events]
        return {event_id for (event_id,) in select_in(self._log.connection, query, ids)}

    def _users(self, events: Sequence[Event]) -> dict[str | None, str]:
        """Return the user of each joined session of events without a user."""
        query = "SELECT session_id, user_id FROM sessions WHERE session_id IN"
        ids = {event.session_id for event in events if event.session_id and not event.user_id}
        return dict(select_in(self._log.connection, query, list(ids)))

    def _commit(self, new: Sequence[StoredEvent]) -> None:
        connection, last = self._log.connection, new[-1].sequence
        failpoint("events.before-begin")
        with self._log.transaction():
            insert(connection, "INSERT INTO events", [row_of(e.sequence, e.event) for e in new])
            failpoint("events.after-insert")
            connection.execute("UPDATE progress SET sequence = ?", (last,))
            failpoint("events.before-commit")
        failpoint("events.after-commit")
        self.sequence = last
        self._unreported += new
        self._log.require_files()
        self._mark.write(HighWaterMark(self.id, last))
