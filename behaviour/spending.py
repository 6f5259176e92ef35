"""What promotions have spent, and how the budget of a day is paced.

A promotion pays for recorded events that name it. A budget is spent in proportion to traffic: a
promotion is active while it has spent less than

    budget · (share of the day's traffic that is usually over by now)

The share follows from the impressions of each hour (UTC) in the days before. Without such days, it
is the share of the day that is over. The log of events is the only record, so a restart changes
nothing.
"""

import threading
from collections import Counter
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64

from behaviour.events import DAY
from behaviour.log.format import StoredEvent

_DAYS = 8  # number of days whose counts are kept, including today
_HOURS = 24
_EVEN = 0.05  # weight of even traffic beside the counts of the days before


class Spending:
    """Events that promotions pay for, and traffic. Safe to use from several threads."""

    def __init__(self, most: int = 10_000) -> None:
        """Start without events.

        Args:
            most: Largest number of pairs of a promotion and a type that are counted in a day. If
                there are more, the half with the fewest events is forgotten.
        """
        self._most = most
        self._lock = threading.Lock()
        self._events: dict[int, Counter[tuple[str, str]]] = {}  # by day, then promotion and type
        self._traffic: dict[int, Float64[np.ndarray, " hours"]] = {}  # impressions by day

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Count events of the log."""
        self._count(events, 1)

    def remove(self, events: Iterable[StoredEvent]) -> None:
        """Subtract events that were added, such as those of an erased user."""
        self._count(events, -1)

    def count(self, promotion_id: str, event_type: str, now: int) -> int:
        """Return the number of events of a promotion on the day of `now` (microseconds)."""
        with self._lock:
            return self._events.get(now // DAY, Counter())[promotion_id, event_type]

    def usual_share(self, now: int) -> float:
        """Return the share of a day's traffic that is usually over at the time of day of `now`."""
        today, hours = now // DAY, now % DAY / (DAY / _HOURS)
        with self._lock:
            earlier = [traffic for day, traffic in self._traffic.items() if day < today]
        traffic = np.sum(earlier, axis=0) if earlier else np.zeros(_HOURS)
        traffic = traffic + max(_EVEN * float(traffic.sum()), 1.0) / _HOURS
        over = np.clip(hours - np.arange(_HOURS), 0.0, 1.0)
        return float(traffic @ over / traffic.sum())

    def may_spend(
        self, promotion_id: str, event_type: str, *, budget: float, cost: float, now: int
    ) -> bool:
        """Return whether a promotion is active.

        Args:
            promotion_id: The promotion.
            event_type: The type of events that it pays for.
            budget: The largest spending in a day.
            cost: The cost of one event.
            now: The time, in microseconds since 1970.
        """
        spent = cost * self.count(promotion_id, event_type, now)
        return spent < budget * self.usual_share(now) and spent + cost <= budget * (1 + 1e-9)

    def _count(self, events: Iterable[StoredEvent], number: int) -> None:
        with self._lock:
            for event in (stored.event for stored in events):
                day = event.time // DAY
                if event.promotion_id:
                    counts = self._events.setdefault(day, Counter())
                    counts[event.promotion_id, event.type] += number
                    if len(counts) > self._most:
                        self._events[day] = Counter(dict(counts.most_common(self._most // 2)))
                if event.type == "impression":
                    traffic = self._traffic.setdefault(day, np.zeros(_HOURS))
                    traffic[event.time % DAY * _HOURS // DAY] += number
            for by_day in (self._events, self._traffic):
                for day in sorted(by_day)[:-_DAYS]:
                    del by_day[day]
