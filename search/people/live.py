"""What a server knows of people beyond its bundle: their histories, and what is popular now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from behaviour.feedback import Feedback
from behaviour.histories import PastEvent
from catalog.catalogue import Catalogue
from search.exploration.click_rates import Clicks
from search.people.person import Person
from search.rules import Promotion

# Number of purchases that is added to the count of the most popular item. So a few events on a
# quiet day make nothing popular.
_SMOOTHING = 20.0


@dataclass(frozen=True)
class Trends:
    """The items that are popular in the server's own events.

    Attributes:
        rows: Rows of the items.
        shares: The count of each item, divided by the smoothed count of the most popular item.
    """

    rows: Int32[np.ndarray, " items"]
    shares: Float32[np.ndarray, " items"]


def events_of(
    person: Person | None, people: "LivePeople | None", now: int
) -> tuple[PastEvent, ...]:
    """Return the recorded events of a person, then those of the request.

    Args:
        person: The person; None has no events.
        people: The events that the server has recorded; None: none.
        now: The time of the request, in microseconds since 1970. No event of the request is later.
    """
    if person is None:
        return ()
    recorded = () if people is None else people.events(person)
    inline = (event._replace(time=min(event.time, now)) for event in person.history)
    return (*recorded, *inline)


class LivePeople:
    """The events that a server has recorded. Safe to use from several threads."""

    def __init__(self, feedback: Feedback) -> None:
        """Read the histories and counters of `feedback`."""
        self._feedback = feedback

    def events(self, person: Person) -> tuple[PastEvent, ...]:
        """Return the recorded events of a person."""
        if not (person.user_id or person.session_id):
            return ()
        return self._feedback.histories.of(person.user_id or None, person.session_id or None)

    def clicks(self, query: str, item_ids: Sequence[str]) -> Clicks:
        """Return the clicks of items after a query, or of items anywhere if the query is empty."""
        counters = self._feedback.counters
        counts = counters.pairs(query, item_ids) if query.strip() else counters.items(item_ids)
        clicks, examined = counters.total()
        # As if one of 20 earlier impressions had been clicked.
        mean = min((clicks + 1) / (examined + 20), 1.0)
        return Clicks(counts.of("click"), counts.examined, mean)

    def may_promote(self, promotion: Promotion, now: int) -> bool:
        """Return whether a promotion may spend at `now`, in microseconds since 1970."""
        return self._feedback.spending.may_spend(
            promotion.promotion_id,
            promotion.charged,
            budget=promotion.daily_budget,
            cost=promotion.cost,
            now=now,
        )

    def trends(self, catalogue: Catalogue) -> Trends:
        """Return the items that are popular now; `feedback` counts them regularly."""
        popular = self._feedback.counters.popular
        rows = catalogue.rows([item_id for item_id, _ in popular])
        counts = np.array([count for _, count in popular], np.float32)
        shares = counts / (counts.max(initial=0) + np.float32(_SMOOTHING))
        return Trends(rows[rows >= 0], shares[rows >= 0])
