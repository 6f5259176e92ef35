"""Histories: the latest events of each user and of each anonymous session.

One thread adds events. Other threads read without a lock: a history is a tuple, and each new event
replaces the tuple by a longer one.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from behaviour.log.format import StoredEvent

# Impressions are left out: they say what the shop did, and there are ten of them per search.
_LEFT_OUT = frozenset({"impression"})
# These events have a limit of their own, so that a hundred views do not push out a purchase.
_PURCHASES = frozenset({"purchase", "return"})


class PastEvent(NamedTuple):
    """One event of a history. Events are ordered by time, then by sequence number."""

    time: int  # microseconds since 1970
    sequence: int  # sequence number of the event in the log
    type: str
    item_id: str


def person_key(user_id: str | None, session_id: str | None) -> str | None:
    """Return the key of a user, or of a session without a user; None without both."""
    if user_id is not None:
        return f"user {user_id}"
    return None if session_id is None else f"session {session_id}"


class Histories:
    """The last events of people, without impressions."""

    def __init__(self, length: int, purchases: int, max_events: int) -> None:
        """Start without events.

        Args:
            length: Largest number of events of one history, without purchases and returns.
            purchases: Largest number of purchases and returns of one history.
            max_events: Largest number of events in all histories, and of purchases and returns. The
                events of people who did nothing for the longest time are left out.
        """
        self._max_sessions = max_events
        self._purchases = _Latest(purchases, max_events)
        self._others = _Latest(length, max_events)
        self._users: OrderedDict[str, str] = OrderedDict()  # joined session -> its user

    def of(
        self, user_id: str | None = None, session_id: str | None = None
    ) -> tuple[PastEvent, ...]:
        """Return a history, oldest event first; empty for unknown people.

        Args:
            user_id: The user; None for an anonymous session.
            session_id: The session. With a user, the events of the session are added to those of
                the user: the user may have logged in a moment ago.
        """
        joined = None if session_id is None else self._users.get(session_id)
        user_id = user_id if user_id is not None else joined
        keys = [*filter(None, (person_key(user_id, None), person_key(None, session_id)))]
        parts = self._purchases.of(keys), self._others.of(keys)
        return tuple(sorted(parts[0] + parts[1])) if all(parts) else parts[0] or parts[1]

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Add events of the log."""
        for stored in events:
            event = stored.event
            key = person_key(stored.user_id, event.session_id)
            if key is None or event.type in _LEFT_OUT:
                continue
            past = PastEvent(event.time, stored.sequence, event.type, event.item_id)
            (self._purchases if event.type in _PURCHASES else self._others).add(key, past)

    def join(self, session_id: str, user_id: str, last_forgotten: int = 0) -> None:
        """Add the events of a session after a sequence number to the history of its user."""
        self._users[session_id] = user_id
        if len(self._users) > self._max_sessions:
            self._users.popitem(last=False)
        for latest in (self._purchases, self._others):
            for past in latest.pop(f"session {session_id}"):
                if past.sequence > last_forgotten:
                    latest.add(f"user {user_id}", past)

    def forget(self, user_id: str) -> None:
        """Remove the events of a user. Sessions that were joined to the user stay joined."""
        self._pop(f"user {user_id}")

    def remove(self, user_id: str, session_ids: Iterable[str] = ()) -> None:
        """Remove a user, the sessions that were joined to the user, and further sessions."""
        joined = [session for session, user in self._users.items() if user == user_id]
        for session_id in joined:
            del self._users[session_id]
        self.forget(user_id)
        for session_id in session_ids:
            self._pop(f"session {session_id}")

    def expire(self, earliest: int) -> None:
        """Remove the events before a time, in microseconds since 1970."""
        self._purchases.expire(earliest)
        self._others.expire(earliest)

    def _pop(self, key: str) -> None:
        self._purchases.pop(key)
        self._others.pop(key)


class _Latest:
    """The latest events of people, by the keys of the people."""

    def __init__(self, length: int, max_events: int) -> None:
        self._length = length
        self._max_events = max_events
        self._count = 0
        self._people: OrderedDict[str, tuple[PastEvent, ...]] = OrderedDict()

    def of(self, keys: Sequence[str]) -> tuple[PastEvent, ...]:
        """Return the latest events of all keys together, oldest first."""
        parts = [self._people[key] for key in keys if key in self._people]
        if len(parts) < 2:
            return parts[0] if parts else ()
        return tuple(sorted(chain(*parts)))[-self._length :]

    def add(self, key: str, past: PastEvent) -> None:
        """Add an event in its place; it may be earlier than others."""
        before = self._people.get(key, ())
        if not before or before[-1] < past:
            after = (*before, past)
        else:
            at = bisect_right(before, past)
            after = (*before[:at], past, *before[at:])
        if before:
            self._people.move_to_end(key)
        self._set(key, after)

    def pop(self, key: str) -> tuple[PastEvent, ...]:
        """Remove and return the events of a key."""
        events = self._people.pop(key, ())
        self._count -= len(events)
        return events

    def expire(self, earliest: int) -> None:
        """Remove the events before a time, in microseconds since 1970."""
        for key, events in list(self._people.items()):
            if events[0].time < earliest:
                self._set(key, tuple(event for event in events if event.time >= earliest))

    def _set(self, key: str, events: tuple[PastEvent, ...]) -> None:
        events = events[-self._length :]
        self._count += len(events) - len(self._people.get(key, ()))
        if events:
            self._people[key] = events
        else:
            self._people.pop(key, None)
        while self._count > self._max_events:
            _, oldest = self._people.popitem(last=False)
            self._count -= len(oldest)
