"""Events: what people do with items, and the limits of events that the log takes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from base.errors import RequestError, check_count, check_range, check_text
from catalog.events import EVENT_FIELDS, EVENT_TYPES, MAX_EARLY_SECONDS, OPTIONAL_IDS

MAX_EVENTS = 1_000  # largest number of events of one call
MAX_CONTEXT_ENTRIES = 32
MAX_CONTEXT_CHARACTERS = 256  # of a name or a value of the context
DAY = 86_400_000_000  # microseconds
MAX_EARLY = MAX_EARLY_SECONDS * 1_000_000  # microseconds

_REQUIRED = frozenset({"event_id", *(f.name for f in EVENT_FIELDS if f.required)})
_TEXTS = tuple(
    (f.name, f.max_characters, f.name in _REQUIRED)
    for f in EVENT_FIELDS
    if f.max_characters is not None
)
_NUMBERS = tuple((f.name, f.minimum, f.maximum) for f in EVENT_FIELDS if f.type in (int, float))


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a person did with an item. None: the value is not known."""

    event_id: str  # chosen by the caller; an event with a known id changes nothing
    time: int  # microseconds since 1970, in UTC
    type: str  # one of EVENT_TYPES
    item_id: str
    user_id: str | None = None
    session_id: str | None = None
    query: str | None = None
    position: int | None = None  # rank of the item in the list, from 1
    request_id: str | None = None  # of the call that showed the item
    bundle_id: str | None = None  # of the bundle that answered this call
    context: Mapping[str, str] = field(default_factory=dict)
    propensity: float | None = None  # probability of being shown at this position
    price: float | None = None  # currency units
    quantity: float | None = None
    promotion_id: str | None = None  # of the promotion that showed the item

    def __post_init__(self) -> None:
        """Turn blank ids into None, and purchases of less than nothing into returns."""
        for name in OPTIONAL_IDS:
            value = getattr(self, name)
            if value is not None and not value.strip():
                object.__setattr__(self, name, None)
        if self.type == "purchase" and self.quantity is not None and self.quantity < 0:
            object.__setattr__(self, "type", "return")


def check_events(events: Sequence[Event], latest: int, path: str = "events") -> None:
    """Refuse events that the log does not take.

    Args:
        events: The events of one call.
        latest: The latest allowed time of an event, in microseconds since 1970.
        path: The path of the list in the request, for the error.

    Raises:
        RequestError: a field breaks a rule of `EVENT_FIELDS`, an id is missing, or there are no
            events or too many.
    """
    check_count(len(events), path, 1, MAX_EVENTS, "events")
    for index, event in enumerate(events):
        try:
            check_event(event, latest)
        except RequestError as error:
            raise error.within(f"{path}[{index}]") from None


def check_person(value: str, name: str) -> None:
    """Refuse a user id or a session id that events cannot have.

    Args:
        value: The id.
        name: The field: "user_id" or "session_id".
    """
    longest = next(most for text, most, _ in _TEXTS if text == name)
    _check_text(value, name, longest, required=True)


def check_event(event: Event, latest: int) -> None:
    """Refuse an event that the log does not take; see `check_events`."""
    for name, longest, required in _TEXTS:
        value = getattr(event, name)
        if value is not None or required:
            _check_text(value or "", name, longest, required)
    if event.type not in EVENT_TYPES:
        raise RequestError("type", f"is unknown; give {', '.join(EVENT_TYPES)}")
    if not 0 <= event.time <= latest:
        problem = "is in the future" if event.time > latest else "is before 1970"
        raise RequestError("time", f"{problem}; give the time at which the event happened")
    for name, low, high in _NUMBERS:
        number = getattr(event, name)
        if number is not None:
            if not math.isfinite(number):
                raise RequestError(name, f"is {number}; give a finite number")
            check_range(number, name, low, high)
    if event.context:
        _check_context(event.context)


def _check_text(value: str, name: str, longest: int, required: bool) -> None:
    check_text(value, name)
    if required and not value.strip():
        raise RequestError(name, "is empty; give a value")
    check_count(len(value), name, None, longest, "characters")


def _check_context(context: Mapping[str, str]) -> None:
    check_count(len(context), "context", None, MAX_CONTEXT_ENTRIES)
    for name, value in context.items():
        for text in (name, value):
            check_text(text, "context")
            check_count(len(text), "context", None, MAX_CONTEXT_CHARACTERS, "characters in a text")
        if not name:
            raise RequestError("context", "has an empty name; give a name")
