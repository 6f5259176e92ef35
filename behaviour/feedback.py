"""Feedback: the event log of a server, with the counters and histories that follow from it.

One thread writes. It adds each event to the counters and histories after the event is durable, and
before the event is acknowledged. So a request that begins after the acknowledgement sees the event.
Two more threads regularly compute what follows from all counters: what is popular, and how many
shoppers look at each position.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from base.repeating import Repeating
from behaviour.config import FeedbackConfig
from behaviour.counters import Counters
from behaviour.events import DAY, MAX_EARLY, Event, check_events, check_person
from behaviour.histories import Histories
from behaviour.log.event_log import Appended, EventLog
from behaviour.log.format import StoredEvent
from behaviour.log.writer import Writer
from behaviour.spending import Spending

logger = logging.getLogger(__name__)

_EXPIRY_SECONDS = 3_600.0  # time between two checks for old events
_AT_A_TIME = 5_000  # number of events that are read from the log at a time


@dataclass(frozen=True)
class FeedbackReport:
    """The state of the event log, and what became of the events since the start."""

    outcomes: Mapping[str, int]  # number of events that were recorded, duplicate, dropped, refused
    log_bytes: int  # size of the files of the log
    oldest_event: float | None  # time of the earliest event in seconds since 1970; None: no event
    last_append: float | None  # when events became durable last; None: not since the start


@dataclass(frozen=True)
class Erasure:
    """What an erasure removed."""

    events: int  # number of removed events
    sessions: int  # number of sessions of the user, whose events without a user were removed, too
    scanned_bytes: int  # size of the log's files, which were scanned and have no id of the user


class Feedback:
    """Records events, and keeps what follows from them. Safe to use from several threads.

    Attributes:
        config: The settings.
        counters: Counts of items, and of queries and items.
        histories: The latest events of people.
        spending: What promotions have spent.
    """

    def __init__(
        self,
        log: EventLog,
        config: FeedbackConfig | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the log, and start to take events.

        Args:
            log: The event log; `close` closes it.
            config: The settings; None for the defaults.
            clock: Returns the seconds since 1970.
            steady: Returns the seconds since any moment; nobody can set this clock.
        """
        self.config = config or FeedbackConfig()
        self._log = log
        self._clock = clock
        self.counters = Counters(self.config.counters, clock)
        self.spending = Spending()
        self.histories = Histories(
            self.config.history_events,
            self.config.history_purchases,
            self.config.max_history_events,
        )
        self._outcomes = Counter(recorded=0, duplicate=0, dropped=0, refused=0)
        self._last_append: float | None = None
        self._oldest: int | None = None  # time of the earliest event in the log, in microseconds
        self._steady = steady
        self._opened_at = clock() - steady()  # time at which `steady` was 0, in seconds since 1970
        self._next_expiry = steady()
        self.expire()
        self._replay()
        self._repeating = (
            Repeating(self.counters.recount, self.config.popular_seconds, "popular-items"),
            Repeating(self.counters.refresh, self.config.refresh_seconds, "examinations"),
        )
        self._writer = Writer(
            self._append,
            self.expire,
            transaction_events=self.config.transaction_events,
            queued_events=self.config.queued_events,
            gather_seconds=self.config.gather_seconds,
            maintain_seconds=self.config.refresh_seconds,
        )

    @classmethod
    def open(cls, state: Path, config: FeedbackConfig | None = None) -> "Feedback":
        """Open the event log in a state directory; create it if need be.

        Raises:
            InputError: another process uses the log, or it cannot be read or written, is damaged,
                or has lost events.
        """
        log = EventLog.open(state)
        try:
            return cls(log, config)
        except BaseException:
            log.close()
            raise

    @property
    def sequence(self) -> int:
        """Sequence number of the last durable event; 0 before the first event."""
        return self._log.sequence

    def report(self) -> FeedbackReport:
        """Return the state of the event log."""
        oldest = None if self._oldest is None else self._oldest / 1e6
        return FeedbackReport(dict(self._outcomes), self._log.size_bytes, oldest, self._last_append)

    def count_refused(self, events: int) -> None:
        """Count events that a caller refused: one of their call is invalid, or too many wait."""
        self._outcomes["refused"] += events

    def record(self, events: Sequence[Event]) -> "Future[Appended] | None":
        """Queue the events of one call; return None if too many events wait.

        The future is done once the events are durable and counted. Its exception is LogError if the
        disk fails. It is safe to record the same events again.

        Raises:
            RequestError: an event breaks a limit; none of the events is recorded.
            ClosedLogError: after `close`.
        """
        check_events(events, self._now() + MAX_EARLY)
        return self._writer.append(events)

    def join_session(self, session_id: str, user_id: str) -> "Future[None]":
        """Make the earlier and later events of a session those of a user.

        The future's exception is RequestError if the session was joined to another user.

        Raises:
            RequestError: an id is empty or too long.
            ClosedLogError: after `close`.
        """
        check_person(session_id, "session_id")
        check_person(user_id, "user_id")

        def join() -> None:
            if self._log.join(session_id, user_id, self._now()):
                self.histories.join(session_id, user_id, self._log.last_forgotten(user_id))

        return self._writer.run(join)

    def opt_out(self, user_id: str, opted_out: bool = True) -> "Future[None]":
        """Drop all later events of a user, and forget the user's history; or keep events again.

        Events that were recorded before stay in the log until `erase_user`. They no longer count
        for the user, also if the user opts in again.

        Raises:
            RequestError: the id is empty or too long.
            ClosedLogError: after `close`.
        """
        check_person(user_id, "user_id")

        def record() -> None:
            self._log.opt_out(user_id, opted_out)
            if opted_out:
                self.histories.forget(user_id)

        return self._writer.run(record)

    def has_opted_out(self, user_id: str) -> bool:
        """Return whether events of a user are dropped."""
        return self._log.has_opted_out(user_id)

    def erase_user(self, user_id: str) -> "Future[Erasure]":
        """Remove a user from the log, the counters and the histories, and scan the log's files.

        When the future is done, no file of the log has the user's id. All other jobs wait
        meanwhile, because the file is rewritten. The future's exception is NotErasedError if a file
        still has the user's id or the id of a session of the user.

        Raises:
            RequestError: the id is empty or too long.
            ClosedLogError: after `close`.
        """
        check_person(user_id, "user_id")

        def erase() -> Erasure:
            removed = self._log.remove_user(user_id)
            self.counters.remove(removed.events)
            self.spending.remove(removed.events)
            self.histories.remove(user_id, removed.sessions)
            self._oldest = self._log.oldest()
            scanned = self._log.rewrite({user_id, *removed.sessions})
            return Erasure(len(removed.events), len(removed.sessions), scanned)

        return self._writer.run(erase)

    def expire(self) -> None:
        """Remove old events, at most once an hour."""
        if not self.config.retention_days or self._steady() < self._next_expiry:
            return
        self._next_expiry = self._steady() + _EXPIRY_SECONDS
        ahead = self._clock() - self._steady() - self._opened_at
        if ahead * 1e6 > MAX_EARLY:
            logger.error(
                "the clock was set ahead by %.1f days while the server ran: events expire late; "
                "correct the clock, or restart the server if the clock is right",
                ahead / 86_400,
            )
        earliest = self._earliest()
        if removed := self._log.expire(earliest):
            logger.info("events expired: events=%d", removed)
            self._oldest = self._log.oldest()
        self.histories.expire(earliest)

    def close(self) -> None:
        """Finish the queued jobs and close the log."""
        for repeating in self._repeating:
            repeating.close()
        self._writer.close()
        self._log.close()

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def _append(self, calls: Sequence[Sequence[Event]]) -> list[Appended]:
        outcomes, new = self._log.append(calls, self._earliest())
        self._add(new)
        if new:
            self._last_append = self._clock()
        self._outcomes["recorded"] += len(new)
        for outcome in outcomes:
            self._outcomes["duplicate"] += outcome.duplicates
            self._outcomes["dropped"] += outcome.dropped
        return outcomes

    def _add(self, events: Sequence[StoredEvent]) -> None:
        """Count events of the log."""
        self.counters.add(events)
        self.spending.add(events)
        self.histories.add(events)
        times = [stored.event.time for stored in events]
        if self._oldest is not None:
            times.append(self._oldest)
        self._oldest = min(times, default=None)

    def _earliest(self) -> int:
        """Return the time of the earliest event to keep, in microseconds since 1970.

        A clock that somebody has set ahead makes no event old.
        """
        days = self.config.retention_days
        latest = int((self._opened_at + self._steady()) * 1e6) + MAX_EARLY
        return int(min(self._now(), latest) - days * DAY) if days else 0

    def _replay(self) -> None:
        """Count the events of the log."""
        stored = map(self._log.anonymous, self._log.events())
        while events := list(islice(stored, _AT_A_TIME)):
            self._add(events)
        for session_id, user_id in self._log.sessions():
            self.histories.join(session_id, user_id)
        self.counters.recount()
        self.counters.refresh()
