"""Counters of events: per item, and per query and item.

**Decay.** An event of age t counts 2^(-t / half-life). The tables store each event with the weight
2^((time - landmark) / half-life), and divide by the weight of now when they are read ("forward
decay", Cormode et al., ICDE 2009). So late events are exact, and no counter changes with time.

**Position bias.** Shoppers look at the first positions of a list more often than at later ones. By
the examination hypothesis (Craswell et al., WSDM 2008), P(click) = theta_k · a: the probability
that a shopper looks at position k, times the attractiveness of the item for the query. Impressions
therefore count as examinations: an impression at position k counts theta_k. The rate of clicks per
examination is the estimate of `a` ("clicks over expected clicks", Zhang and Jones, WWW 2007).

`theta` is estimated from pairs of a query and an item that were shown at several positions, because
the pair's attractiveness is the same there ("intervention harvesting", Agarwal et al., WSDM 2019).
The number of clicks of pair u at position k is taken as Poisson with mean theta_k · a_u ·
impressions_uk. Two steps alternate until theta stays the same:

    a_u = clicks_u / Σ_k theta_k · impressions_uk
    theta_k = (clicks_k + prior · theta0_k) / (Σ_u a_u · impressions_uk + prior)

Both sums of theta_k are over the same pairs. A click counts only at positions at which the pair was
shown, because some callers record clicks without impressions.

The prior of theta_k is a gamma distribution around theta0_k = 1 / k (Joachims et al., WSDM 2017).
theta_1 is 1.

**Smoothing.** The rate of an item is (outcomes + s · mean) / (examinations + s), where `mean` is
the rate over all items. The rate of a query and an item is smoothed towards the rate of the item.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from behaviour.config import CounterConfig
from behaviour.counter_table import CounterTable
from behaviour.events import DAY
from behaviour.log.format import StoredEvent
from catalog.events import EVENT_TYPES
from catalog.item_text import normalise_query

POSITIONS = 20  # positions with a theta of their own; later positions share one

_TYPES = {name: column for column, name in enumerate(EVENT_TYPES)}
_IMPRESSION, _CLICK = _TYPES["impression"], _TYPES["click"]
_FIRST = len(EVENT_TYPES)  # column of impressions without a position; then positions 1, 2, …
_LATER = _FIRST + POSITIONS + 1  # column of impressions at later positions
_COLUMNS = _LATER + 1
_PLACES = _COLUMNS - _FIRST  # pairs also have the clicks at each of these places
# theta of each column of impressions before clicks are known; 1 for impressions without a position
_PRIOR = np.array([1.0, *(1 / np.arange(1.0, POSITIONS + 2))])
_PRIOR_CLICKS = 10.0  # weight of the prior of theta, in expected clicks at theta = 1
_STEPS = 200  # maximum number of alternations
_CLOSE = 1e-5  # largest change of theta at which the alternation ends
_LARGEST_EXPONENT = 200.0  # the landmark moves before weights exceed 2^200
_AT_A_TIME = 256  # number of events that are added while readers wait
_READ_AT_A_TIME = 20_000  # number of items that are read while the thread that adds events waits
_MOST_CLICKED = 100_000  # number of pairs from which theta is estimated

# How much an event of each type says about popularity.
_POPULARITY = np.array(
    [
        {"purchase": 1.0, "add_to_cart": 0.5, "click": 0.1, "view": 0.1}.get(name, 0.0)
        for name in EVENT_TYPES
    ]
)

_normalised = lru_cache(maxsize=10_000)(normalise_query)


@dataclass(frozen=True)
class Counts:
    """Decayed counts of some items or pairs."""

    types: Float64[np.ndarray, "rows types"]  # events by type, in the order of EVENT_TYPES
    examined: Float64[np.ndarray, " rows"]  # expected number of shoppers who looked

    def of(self, event_type: str) -> Float64[np.ndarray, " rows"]:
        """Return the counts of one type."""
        counts: Float64[np.ndarray, " rows"] = self.types[:, _TYPES[event_type]]
        return counts


class Counters:
    """The counters. One thread adds events; a short lock lets other threads read.

    Attributes:
        popular: The items that were popular at the last `recount`, with their weighted counts, the
            largest first.
    """

    def __init__(
        self, config: CounterConfig | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Start without events; `clock` returns the seconds since 1970."""
        self._config = config or CounterConfig()
        self._clock = clock
        self._half_life = self._config.half_life_days * DAY
        self._lock = threading.Lock()
        self._items = CounterTable(_COLUMNS, self._config.max_items)
        self._pairs = CounterTable(_COLUMNS + _PLACES, self._config.max_pairs)
        self._total = np.zeros(_COLUMNS)
        self._theta = _PRIOR.copy()
        self.popular: tuple[tuple[str, float], ...] = ()
        self._landmark = int(clock() * 1e6)

    def add(self, events: Sequence[StoredEvent]) -> None:
        """Count events of the log."""
        self._count(events, add=True)

    def remove(self, events: Sequence[StoredEvent]) -> None:
        """Subtract events that were added, such as those of an erased user."""
        self._count(events, add=False)
        _normalised.cache_clear()  # the queries of the user, too

    def items(self, item_ids: Sequence[str]) -> Counts:
        """Return the counts of items, in the order of the ids; zeros for unknown items."""
        return self._read(self._items, item_ids)

    def pairs(self, query: str, item_ids: Sequence[str]) -> Counts:
        """Return the counts of a query with each of some items."""
        text = _normalised(query)
        return self._read(self._pairs, [(text, item_id) for item_id in item_ids])

    def total(self, outcome: str = "click") -> tuple[float, float]:
        """Return the number of outcomes of all items, and of examinations."""
        with self._lock:
            total, theta = self._total * self._decay(), self._theta
        return float(total[_TYPES[outcome]]), float(total[_FIRST:] @ theta)

    def rates(
        self,
        item_ids: Sequence[str],
        outcome: str = "click",
        query: str | None = None,
        smoothing: float = 20.0,
    ) -> Float64[np.ndarray, " items"]:
        """Return the smoothed number of outcomes per examination, at most 1.

        Args:
            item_ids: The items.
            outcome: A type of event, such as "click" or "purchase".
            query: The query, for rates of the query with each item; None for rates of the items.
            smoothing: Number of impressions, at the mean rate, that are added to those of an item
                or of a query and an item. So a rate from few impressions is near the mean.
        """
        outcomes, examined = self.total(outcome)
        mean = min(outcomes / examined, 1.0) if examined > 0 else 0.0
        rates = _smoothed(self.items(item_ids), outcome, np.full(len(item_ids), mean), smoothing)
        if query is not None:
            rates = _smoothed(self.pairs(query, item_ids), outcome, rates, smoothing)
        return rates

    def recount(self, limit: int = 500) -> None:
        """Set `popular` to the `limit` items with the largest weighted sums of counts above 0."""
        best: dict[str, float] = {}
        for start in range(0, len(self._items), _READ_AT_A_TIME):
            with self._lock:  # for a short time, because the thread that adds events waits
                part = slice(start, start + _READ_AT_A_TIME)
                sums = self._items.values[part, :_FIRST] @ _POPULARITY * self._decay()
                keys = self._items.keys[part]
            largest = np.argsort(-sums, kind="stable")[:limit]
            best.update((str(keys[row]), float(sums[row])) for row in largest if sums[row] > 0)
        ranked = sorted(best.items(), key=lambda entry: -entry[1])
        self.popular = tuple(ranked[:limit])

    @property
    def examination(self) -> Float64[np.ndarray, " positions"]:
        """The estimated probability that a shopper looks at position 1, 2, …, relative to 1.

        The last entry is for all positions after POSITIONS.
        """
        return self._theta[1:].copy()

    def refresh(self) -> None:
        """Estimate again how many shoppers look at each position."""
        with self._lock:
            clicked = np.flatnonzero(self._pairs.values[:, _CLICK] > 0)
            if len(clicked) > _MOST_CLICKED:
                clicks = self._pairs.values[clicked, _CLICK]
                clicked = clicked[np.argpartition(-clicks, _MOST_CLICKED)[:_MOST_CLICKED]]
            pairs = self._pairs.values[clicked]
        pairs *= self._decay()
        self._theta = _estimate(pairs[:, _FIRST:_COLUMNS], pairs[:, _COLUMNS:], self._theta)

    def _read(self, table: CounterTable, keys: Sequence[object]) -> Counts:
        with self._lock:
            numbers = table.of(keys)
        numbers *= self._decay()
        return Counts(numbers[:, :_FIRST], numbers[:, _FIRST:_COLUMNS] @ self._theta)

    def _decay(self) -> float:
        """Return the factor by which stored numbers count now."""
        decay: float = 2.0 ** ((self._landmark - self._clock() * 1e6) / self._half_life)
        return decay

    def _count(self, events: Sequence[StoredEvent], *, add: bool) -> None:
        for start in range(0, len(events), _AT_A_TIME):
            with self._lock:
                for stored in events[start : start + _AT_A_TIME]:
                    self._count_one(stored, add=add)

    def _count_one(self, stored: StoredEvent, *, add: bool) -> None:
        event = stored.event
        exponent = (event.time - self._landmark) / self._half_life
        if exponent > _LARGEST_EXPONENT:
            self._move_landmark(event.time, exponent)
            exponent = 0.0
        weight, kind = 2.0**exponent, _TYPES[event.type]
        place = _FIRST if event.position is None else min(_FIRST + event.position, _LATER)
        columns = (kind, place) if kind == _IMPRESSION else (kind,)
        of_pair = (kind, place + _PLACES) if kind == _CLICK else columns
        put = CounterTable.add if add else CounterTable.subtract
        put(self._items, event.item_id, weight, *columns)
        shown = kind in (_IMPRESSION, _CLICK) and event.position is not None
        if event.query or shown:
            put(self._pairs, (_normalised(event.query or ""), event.item_id), weight, *of_pair)
        signed = weight if add else -weight
        for column in columns:
            self._total[column] = max(self._total[column] + signed, 0.0)

    def _move_landmark(self, to: int, exponent: float) -> None:
        factor = 2.0**-exponent
        for table in (self._items, self._pairs):
            table.scale(factor)
        self._total *= factor
        self._landmark = to


def _smoothed(
    counts: Counts, outcome: str, prior: Float64[np.ndarray, " rows"], smoothing: float
) -> Float64[np.ndarray, " rows"]:
    rates = (counts.of(outcome) + smoothing * prior) / (counts.examined + smoothing)
    return np.asarray(np.minimum(rates, 1.0), np.float64)


def _estimate(
    impressions: Float64[np.ndarray, "pairs places"],
    clicks: Float64[np.ndarray, "pairs places"],
    theta: Float64[np.ndarray, " places"],
) -> Float64[np.ndarray, " places"]:
    """Return theta of each place (without a position, 1, 2, …, later); see the module's formulas.

    Args:
        impressions: Impressions of each pair at each place.
        clicks: Clicks of each pair at each place.
        theta: The theta to start from.
    """
    known = impressions.sum(1) > 0
    impressions, clicks = impressions[known], clicks[known]
    clicks = np.where(impressions > 0, clicks, 0)
    clicks_of, clicks_at = clicks.sum(1), clicks.sum(0)
    for _ in range(_STEPS):
        attractive = clicks_of / (impressions @ theta)
        expected = attractive @ impressions
        new = (clicks_at + _PRIOR_CLICKS * _PRIOR) / (expected + _PRIOR_CLICKS)
        new /= new[1]
        new[0] = 1.0
        change, theta = np.abs(new - theta).max(), new
        if change < _CLOSE:
            break
    return theta
