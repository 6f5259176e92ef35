"""Why an item was recommended, and which signals an answer used."""

from dataclasses import dataclass
from enum import StrEnum


class ReasonKind(StrEnum):
    """Why an item was recommended."""

    BOUGHT_TOGETHER = "bought together"  # people who had the causes also had the item
    SIMILAR = "similar"  # the item is like the causes
    REPEAT = "repeat"  # the person bought the item before
    POPULAR = "popular"  # many people buy the item
    NEXT = "next"  # people with a history like the causes had the item next


@dataclass(frozen=True)
class Cause:
    """An item of the history or of the request because of which an item was recommended.

    Attributes:
        item_id: The id of the item.
        title: Its title.
        event_type: The type of the person's strongest event with the item, such as "purchase"; ""
            for an item of the request.
    """

    item_id: str
    title: str
    event_type: str


@dataclass(frozen=True)
class Reason:
    """Why an item was recommended.

    Attributes:
        kind: The kind of the reason.
        share: The share of the item's score that the reason explains, from 0 to 1.
        causes: The items that contribute most to the reason, the most important first.
    """

    kind: ReasonKind
    share: float
    causes: tuple[Cause, ...] = ()


class Signal(StrEnum):
    """What an answer about people can be based on."""

    HISTORY = "history"  # events of the person
    ITEMS = "items"  # items of the request
    BOUGHT_TOGETHER = "bought together"  # counts of items that people buy together
    POPULARITY = "popularity"  # counts of recent events of all people
    CONTEXT = "context"  # attributes of the situation
