"""The history of a person as arrays, in the form that channels use."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from behaviour.events import DAY
from behaviour.histories import PastEvent
from behaviour.signals import HALF_LIVES, PURCHASE, WEIGHTS
from catalog.catalogue import Catalogue
from catalog.events import EVENT_TYPES

_SEEN = (EVENT_TYPES.index("view"), EVENT_TYPES.index("click"))
_REPEAT_HALF_LIFE = 60.0  # age in days at which a purchase counts one half for its repetition


@dataclass(frozen=True)
class Interests:
    """Items that matter for a person, each once, the most important first.

    Attributes:
        rows: Rows of the items.
        weights: How much each item matters; above 0, and falling.
    """

    rows: Int32[np.ndarray, " items"]
    weights: Float32[np.ndarray, " items"]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def ranked(
        cls, rows: Int32[np.ndarray, " items"], weights: Float32[np.ndarray, " items"]
    ) -> "Interests":
        """Return the items with a weight above 0, the largest first."""
        order = np.argsort(-weights, kind="stable")
        order = order[weights[order] > 0]
        return cls(rows[order], weights[order].astype(np.float32))


@dataclass(frozen=True)
class History:
    """The events of a person with items of the catalogue, oldest first, and the items of the page.

    Attributes:
        rows: Row of each event's item.
        types: Type of each event, as an index into `EVENT_TYPES`.
        times: Time of each event, in microseconds since 1970.
        now: The time at which the age is 0, in microseconds since 1970.
        anchors: Rows of the items on the page or in the basket, each once.
        together: Whether items that are bought in one basket count, and not items that are bought
            by one person.
        own_weight: Factor of the weights of events, beside the items of the page, which count 1.
    """

    rows: Int32[np.ndarray, " events"]
    types: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"]
    now: int
    anchors: Int32[np.ndarray, " anchors"]
    together: bool = False
    own_weight: float = 1.0

    @classmethod
    def of(
        cls,
        events: Sequence[PastEvent],
        catalogue: Catalogue,
        now: int,
        anchors: Sequence[str] = (),
        *,
        together: bool = False,
        own_weight: float = 1.0,
    ) -> "History":
        """Return the history of a person.

        Args:
            events: The events of the person, in any order. Those with unknown items are left out.
            catalogue: The items.
            now: See the attribute. Later events have age 0, too.
            anchors: The ids of the items on the page or in the basket.
            together: See the attribute.
            own_weight: See the attribute.
        """
        rows = catalogue.rows([event.item_id for event in events])
        times = np.array([event.time for event in events], np.int64)
        types = np.array([EVENT_TYPES.index(event.type) for event in events], np.int32)
        order = np.argsort(times, kind="stable")
        order = order[rows[order] >= 0]
        anchor_rows = catalogue.rows(list(dict.fromkeys(anchors)))
        return cls(
            rows[order],
            types[order],
            times[order],
            now,
            anchor_rows[anchor_rows >= 0],
            together,
            own_weight,
        )

    @cached_property
    def ages(self) -> Float32[np.ndarray, " events"]:
        """Age of each event in days."""
        return np.asarray(np.maximum(self.now - self.times, 0) / DAY, np.float32)

    @cached_property
    def interests(self) -> Interests:
        """The items that the events and the items of the page speak for.

        Only the strongest event with an item counts: what a person buys each week says little more
        about other items than what the person bought once.
        """
        weights = WEIGHTS[self.types] * np.exp2(-self.ages / HALF_LIVES[self.types])
        weights = np.where(self.taken_back, 0, weights * self.own_weight).astype(np.float32)
        rows = np.concatenate([self.rows, self.anchors])
        unique, number = np.unique(rows, return_inverse=True)
        strongest = np.zeros(len(unique), np.float32)
        ones = np.ones(len(self.anchors), np.float32)
        np.maximum.at(strongest, number, np.concatenate([weights, ones]))
        return Interests.ranked(unique.astype(np.int32), strongest)

    @cached_property
    def purchases(self) -> Interests:
        """The items that the person bought, by number and recency of the purchases."""
        bought = (self.types == PURCHASE) & ~self.taken_back
        weights = np.exp2(-self.ages[bought] / np.float32(_REPEAT_HALF_LIFE))
        unique, number = np.unique(self.rows[bought], return_inverse=True)
        sums = np.bincount(number, weights, len(unique)).astype(np.float32)
        return Interests.ranked(unique.astype(np.int32), sums)

    @property
    def counts(self) -> Bool[np.ndarray, " events"]:
        """Which events say that the person wants something."""
        return np.asarray((WEIGHTS[self.types] > 0) & ~self.taken_back)

    @cached_property
    def taken_back(self) -> Bool[np.ndarray, " events"]:
        """Which events a later return of the item, or its removal from the cart, takes back."""
        taken: dict[int, bool] = {}
        flags = np.zeros(len(self.rows), np.bool_)
        for event in range(len(self.rows) - 1, -1, -1):
            row = int(self.rows[event])
            flags[event] = taken.get(row, False)
            if WEIGHTS[self.types[event]] < 0:
                taken[row] = True
        return flags

    def recent(self, *, bought: int, seen: int) -> Int32[np.ndarray, " rows"]:
        """Return the rows of items that were bought or seen at most some days ago; 0: none."""
        is_recent = (self.types == PURCHASE) & _within(self.ages, bought)
        is_recent |= np.isin(self.types, _SEEN) & _within(self.ages, seen)
        return np.unique(self.rows[is_recent])

    def strongest_type(self, row: int) -> str:
        """Return the type of the strongest event with an item; "" for an item of the page."""
        return self._strongest_types.get(row, "")

    @cached_property
    def _strongest_types(self) -> dict[int, str]:
        order = np.argsort(WEIGHTS[self.types], kind="stable")
        order = order[~self.taken_back[order]]
        types = (EVENT_TYPES[number] for number in self.types[order].tolist())
        return dict(zip(self.rows[order].tolist(), types, strict=True))


NO_HISTORY = History(
    np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64), 0, np.zeros(0, np.int32)
)


def _within(ages: Float32[np.ndarray, " events"], days: int) -> Bool[np.ndarray, " events"]:
    return np.asarray((ages <= days) & (days > 0))
