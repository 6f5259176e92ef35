"""Many users' events as immutable arrays, for models and evaluation.

The events of one basket often have the same time. Their order within the basket is then the order
of the table, which says nothing about the order of the purchases.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int, Int8, Int32, Int64
from scipy import sparse

from base.errors import InputError
from catalog.events import EVENT_TYPES

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Interactions:
    """Events of many users, sorted by user and then by time; all arrays are read-only.

    A batch of histories is also an object of this class: user 0 is the first history.

    Attributes:
        user_ids: Id of each user; "session ID" for the unknown user of a session, and None for a
            history that needs no name.
        items: Number of items of the catalogue.
        user: User of each event, as an index into `user_ids`, in ascending order.
        item: Catalogue row of each event's item.
        type: Type of each event, as an index into `catalog.events.EVENT_TYPES`.
        time: Time of each event in seconds since 1970 (UTC).
        session: Session (such as a basket or an invoice) of each event. Sessions have increasing
            numbers, in the order of users and then of the sessions' first events.
    """

    user_ids: tuple[str | None, ...]
    items: int
    user: Int32[np.ndarray, " events"]
    item: Int32[np.ndarray, " events"]
    type: Int8[np.ndarray, " events"]
    time: Int64[np.ndarray, " events"]
    session: Int32[np.ndarray, " events"]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for column in _COLUMNS:
            view = getattr(self, column).view()
            view.flags.writeable = False
            object.__setattr__(self, column, view)

    @classmethod
    def of_events(cls, events: pa.Table, item_ids: Sequence[str]) -> "Interactions":
        """Read a dataset's events table.

        Only the first event of a user, item, session and type counts. An event without a session
        belongs to the session of its user and UTC day. An event without a user belongs to a user of
        its own session. Events without both are left out, and so are events of items that are not
        in `item_ids`, and purchases of a negative quantity, which are returns.

        Args:
            events: The columns of `catalog.schema.EVENTS`.
            item_ids: The item id of each catalogue row.

        Raises:
            InputError: the table has no event that counts.
        """
        known = pc.or_(pc.is_valid(events["user_id"]), pc.is_valid(events["session_id"]))
        sold = pc.fill_null(pc.greater_equal(events["quantity"], 0), fill_value=True)
        row = pc.index_in(events["item_id"], value_set=pa.array(item_ids, pa.large_string()))
        events = events.append_column("row", row)
        events = events.filter(pc.and_(pc.and_(known, sold), pc.is_valid(row)))
        if not len(events):
            raise InputError(
                "events: no event has a known item and a user_id or session_id; fill these columns"
            )
        type_row = pc.index_in(events["type"], value_set=pa.array(EVENT_TYPES, pa.large_string()))
        time = pc.cast(events["time"], pa.timestamp("s", "UTC"), safe=False).cast(pa.int64())
        user_ids, user, session = _users_and_sessions(events, time.to_numpy())
        return cls.sorted_by_time(
            user_ids, len(item_ids), user, events["row"].to_numpy(), type_row.to_numpy(),
            time.to_numpy(), session,
        )  # fmt: skip

    @classmethod
    def sorted_by_time(
        cls,
        user_ids: Sequence[str | None],
        items: int,
        user: Int[np.ndarray, " events"],
        item: Int[np.ndarray, " events"],
        type: Int[np.ndarray, " events"],  # noqa: A002 - the field's name
        time: Int[np.ndarray, " events"],
        session: Int[np.ndarray, " events"],
    ) -> "Interactions":
        """Sort events in any order, number the sessions, and leave out repeated events.

        `session` may have any numbers; two users never share a session.
        """
        order = np.lexsort((session, time, user))
        user, item, type, session = user[order], item[order], type[order], session[order]  # noqa: A001
        key = np.stack([user, session, item, type])
        _, first = np.unique(key, axis=1, return_index=True)
        kept = np.sort(first)
        _, start, number = np.unique(
            np.stack([user, session])[:, kept], axis=1, return_index=True, return_inverse=True
        )
        rank = np.empty(len(start), np.int64)
        rank[np.argsort(start)] = np.arange(len(start))
        return cls(
            tuple(user_ids),
            items,
            user[kept].astype(np.int32),
            item[kept].astype(np.int32),
            type[kept].astype(np.int8),
            time[order][kept].astype(np.int64),
            rank[number.ravel()].astype(np.int32),
        )

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.user)

    @property
    def users(self) -> int:
        """The number of users, with or without events."""
        return len(self.user_ids)

    @property
    def starts(self) -> Int64[np.ndarray, " users_and_end"]:
        """First event of each user, then the number of events: user u has starts[u]:starts[u+1]."""
        return np.searchsorted(self.user, np.arange(self.users + 1))

    def events_of(self, user: int) -> slice:
        """Return the range of a user's events."""
        first, end = np.searchsorted(self.user, [user, user + 1])
        return slice(int(first), int(end))

    def select(self, mask: Bool[np.ndarray, " events"]) -> "Interactions":
        """Return the events that a mask selects; users and sessions keep their numbers."""
        return replace(self, **{name: getattr(self, name)[mask] for name in _COLUMNS})

    def before(self, time: int) -> "Interactions":
        """Return the events before a time, in seconds since 1970."""
        return self.select(self.time < time)

    def since(self, time: int) -> "Interactions":
        """Return the events at or after a time, in seconds since 1970."""
        return self.select(self.time >= time)

    def of_types(self, *types: str) -> "Interactions":
        """Return the events of some types, such as "purchase"."""
        return self.select(np.isin(self.type, [EVENT_TYPES.index(name) for name in types]))

    def of_users(self, users: Int[np.ndarray, " batch"]) -> "Interactions":
        """Return the events of some users, who get the numbers 0, 1, … in the given order."""
        starts = self.starts
        first, counts = starts[users], starts[users + 1] - starts[users]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = np.repeat(first, counts) + offsets
        batch = replace(self, **{name: getattr(self, name)[chosen] for name in _COLUMNS})
        return replace(
            batch,
            user_ids=tuple(self.user_ids[u] for u in users),
            user=np.repeat(np.arange(len(users), dtype=np.int32), counts),
        )

    def matrix(
        self,
        now: int | None = None,
        half_life_days: float | None = None,
        *,
        strongest: bool = False,
    ) -> sparse.csr_matrix:
        """Return the users × items matrix of decayed counts, as float32.

        An element is the sum of 0.5^(age / half-life) over the user's events with the item.

        Args:
            now: The time at which the age is 0, in seconds since 1970; None needs no half-life.
            half_life_days: Age at which an event counts one half; None: every event counts 1.
            strongest: Whether only the event with the largest weight of each user and item counts.
        """
        return self.weighed(self.decay(now, half_life_days), strongest=strongest)

    def weighed(
        self, weights: Float32[np.ndarray, " events"], *, strongest: bool
    ) -> sparse.csr_matrix:
        """Return the users × items matrix of the given weights of events; see `matrix`."""
        shape = (self.users, self.items)
        if not strongest:
            return sparse.csr_matrix((weights, (self.user, self.item)), shape, np.float32)
        order = np.lexsort((weights, self.item, self.user))
        user, item = self.user[order], self.item[order]
        is_last = np.ones(len(self), np.bool_)
        is_last[:-1] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
        entries = (weights[order][is_last], (user[is_last], item[is_last]))
        return sparse.csr_matrix(entries, shape, np.float32)

    def baskets(
        self, now: int | None = None, half_life_days: float | None = None
    ) -> sparse.csr_matrix:
        """Return the sessions × items matrix of decayed events; see `matrix`.

        Row s is the session with the number s of `session_numbers`.
        """
        number = self.session_numbers()
        shape = (int(number.max(initial=-1)) + 1, self.items)
        weights = self.decay(now, half_life_days)
        return sparse.csr_matrix((weights, (number, self.item)), shape, np.float32)

    def decay(
        self, now: int | None = None, half_life_days: float | None = None
    ) -> Float32[np.ndarray, " events"]:
        """Return 0.5^(age / half-life) of each event; 1 without a half-life."""
        if half_life_days is None:
            return np.ones(len(self), np.float32)
        if now is None:
            raise ValueError("a half-life needs the time at which the age is 0")
        return np.asarray(np.exp2(-self.age_days(now) / half_life_days), np.float32)

    def by_day(self) -> "Interactions":
        """Return the events with the UTC days of each user as sessions.

        Histories that a server keeps have no baskets, so the models read all histories in this
        form. An item and type counts once a day.
        """
        days = self.time // SECONDS_PER_DAY
        return self.sorted_by_time(
            self.user_ids, self.items, self.user, self.item, self.type, self.time, days
        )

    def session_numbers(self) -> Int32[np.ndarray, " events"]:
        """Return each event's session, numbered 0, 1, … without gaps, in the order of `session`."""
        return np.asarray(np.unique(self.session, return_inverse=True)[1], np.int32)

    def sessions_back(self) -> Int32[np.ndarray, " events"]:
        """Count the user's sessions that begin after each event's session; 0 in the last one."""
        number = self.session_numbers()
        last = np.zeros(self.users, np.int32)
        np.maximum.at(last, self.user, number)
        return np.asarray(last[self.user] - number)

    def age_days(self, now: int) -> Float32[np.ndarray, " events"]:
        """Return the days from each event to a time; later events have age 0."""
        return np.asarray(np.maximum(now - self.time, 0) / SECONDS_PER_DAY, np.float32)


_COLUMNS = tuple(field.name for field in fields(Interactions))[2:]


def _users_and_sessions(
    events: pa.Table, time: Int64[np.ndarray, " events"]
) -> tuple[list[str], Int64[np.ndarray, " events"], Int64[np.ndarray, " events"]]:
    """Number the users, in the order of their ids, and the sessions; name users without an id."""
    user, user_ids = _codes(events["user_id"])
    session, session_ids = _codes(events["session_id"])
    without_user, without_session = user < 0, session < 0
    days = time // SECONDS_PER_DAY
    session[without_session] = len(session_ids) + days[without_session] - days.min()
    anonymous, code = np.unique(session[without_user], return_inverse=True)
    user[without_user] = len(user_ids) + code
    return [*user_ids, *(f"session {session_ids[each]}" for each in anonymous)], user, session


def _codes(column: pa.ChunkedArray) -> tuple[Int64[np.ndarray, " rows"], list[str]]:
    """Return each value's rank among the sorted distinct values (-1: missing), and the values."""
    values = sorted(set(column.drop_null().to_pylist()))
    rank = pc.index_in(column, value_set=pa.array(values, pa.large_string()))
    missing = pc.is_null(column)
    ranks = pc.if_else(missing, -1, rank).to_numpy().astype(np.int64)
    return ranks, values
