"""Who asks, and what is to be recommended: the fields of a request about people.

The checks name the fields of the contract (`context.proto`, `recommend_service.proto`).
"""

import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum

from base.errors import RequestError, check_count, check_range
from behaviour.events import MAX_CONTEXT_CHARACTERS, MAX_CONTEXT_ENTRIES
from behaviour.events import check_person as check_person_id
from behaviour.histories import PastEvent
from catalog.events import EVENT_TYPES
from catalog.items import check_id

MAX_HISTORY = 1_000  # events of an inline history
PRESENT = 2**62  # time of an event at the time of the request, whenever that is
MAX_ANCHORS = 100  # items of a basket
MAX_DAYS = 3_650  # longest time for which bought or seen items are left out


@dataclass(frozen=True)
class Person:
    """The person for whom a request is answered; any of the fields may be missing."""

    user_id: str = ""
    session_id: str = ""  # of an anonymous person, or of the current visit of a user
    history: tuple[PastEvent, ...] = ()  # events besides those that the server knows
    _: KW_ONLY
    now: int | None = None  # time of the request, in microseconds since 1970; None: the present


class Surface(StrEnum):
    """Where recommendations are shown."""

    HOME = "home"  # a page about no item
    PRODUCT = "product"  # beside one item
    BASKET = "basket"  # beside the items in a basket
    SIMILAR = "similar"  # what is most like one item
    COMPLEMENTARY = "complementary"  # what is bought together with items; never substitutes


_ANCHORS: Mapping[Surface, tuple[int, int]] = {  # fewest and most items of a request
    Surface.HOME: (0, 0),
    Surface.PRODUCT: (1, 1),
    Surface.BASKET: (1, MAX_ANCHORS),
    Surface.SIMILAR: (1, 1),
    Surface.COMPLEMENTARY: (1, MAX_ANCHORS),
}


@dataclass(frozen=True)
class Recommending:
    """What to recommend, instead of results for a query.

    Raises:
        RequestError: a field is out of its limits.
    """

    surface: Surface
    item_ids: tuple[str, ...] = ()  # the items on the page or in the basket; never recommended
    _: KW_ONLY
    bought_within_days: int = 0  # leave out what the person bought so recently; 0: leave out none
    seen_within_days: int = 0  # leave out what the person viewed so recently; 0: leave out none

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        fewest, most = _ANCHORS[self.surface]
        if fewest == most == 1:
            check_id(self.item_ids[0] if self.item_ids else "", "item_id")
        check_count(len(self.item_ids), "item_ids", fewest, most)
        for index, item_id in enumerate(self.item_ids):
            check_id(item_id, f"item_ids[{index}]")
        check_range(self.bought_within_days, "bought_within_days", 0, MAX_DAYS)
        check_range(self.seen_within_days, "seen_within_days", 0, MAX_DAYS)


def time_of(person: Person | None) -> int:
    """Return the time of a person's request, in microseconds since 1970."""
    chosen = None if person is None else person.now
    return time.time_ns() // 1_000 if chosen is None else chosen


def check_person(person: Person | None) -> None:
    """Refuse ids that no event can have, and an inline history that is too long or has no types."""
    if person is None:
        return
    for name in ("user_id", "session_id"):
        if value := getattr(person, name):
            try:
                check_person_id(value, name)
            except RequestError as error:
                raise error.within("person") from None
    check_count(len(person.history), "person.history", None, MAX_HISTORY)
    for index, event in enumerate(person.history):
        path = f"person.history[{index}]"
        check_id(event.item_id, f"{path}.item_id")
        if event.type not in EVENT_TYPES:
            raise RequestError(f"{path}.type", f"is unknown; give {', '.join(EVENT_TYPES)}")


def check_context(context: Mapping[str, str]) -> None:
    """Refuse a context with too many attributes, and names or values that are too long."""
    path = "context.attributes"
    check_count(len(context), path, None, MAX_CONTEXT_ENTRIES)
    if "" in context:
        raise RequestError(path, "has an empty name; give a name")
    for text in (*context.keys(), *context.values()):
        check_count(len(text), path, None, MAX_CONTEXT_CHARACTERS, "characters in a text")
