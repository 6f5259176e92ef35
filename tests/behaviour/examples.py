"""Events for tests."""

import random
from collections.abc import Sequence
from pathlib import Path

from behaviour.events import Event
from behaviour.log import format as format_
from behaviour.log.format import StoredEvent
from catalog.events import EVENT_TYPES

NOW = 1_700_000_000.0  # seconds since 1970
MICROSECONDS = int(NOW * 1e6)
HOUR = 3_600_000_000  # microseconds


def event(event_id: str, kind: str = "view", item_id: str = "lamp", **fields) -> Event:
    """Return an event at NOW."""
    return Event(event_id, fields.pop("time", MICROSECONDS), kind, item_id, **fields)


def full_event(event_id: str = "e") -> Event:
    """Return an event that has every field."""
    return Event(
        event_id,
        MICROSECONDS + 1,
        "impression",
        "Lampe Ü",
        "user 1",
        "session 1",
        "brass lamp",
        3,
        "request-1",
        "bundle-1",
        {"device": "phone", "country": "DE"},
        0.25,
        19.99,
        -1.5,
        "summer",
    )


def random_events(seed: int, count: int) -> list[Event]:
    """Return events of a few people and items; some have no user, session, query or position."""
    chance = random.Random(seed)

    def some(name: str, number: int) -> str | None:
        return None if chance.random() < 0.3 else f"{name}{chance.randrange(number)}"

    return [
        Event(
            f"{seed}/{index}",
            MICROSECONDS - chance.randrange(1_000 * HOUR),
            chance.choice(EVENT_TYPES),
            f"item{chance.randrange(6)}",
            some("user", 4),
            some("session", 8),
            some("query ", 3),
            chance.choice([None, 1, 2, 3, 19, 20, 21, 500]),
        )
        for index in range(count)
    ]


def stored(events: Sequence[Event]) -> list[StoredEvent]:
    """Return the events as a log without joined sessions has them."""
    return [StoredEvent(number, event, event.user_id) for number, event in enumerate(events, 1)]


def bytes_of(state: Path) -> bytes:
    """Return the bytes of all files of the event log."""
    files = sorted((state / format_.DIRECTORY).iterdir())
    return b"".join(file.read_bytes() for file in files)
