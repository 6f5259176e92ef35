"""Settings of the event log, the counters and the histories."""

from dataclasses import dataclass, field

from base.errors import InputError


@dataclass(frozen=True)
class CounterConfig:
    """How events are counted, and how many counters are kept."""

    # time after which an event counts half, in days
    half_life_days: float = 30.0
    max_items: int = 500_000  # largest number of items with counters, about 400 bytes each
    # largest number of pairs of a query and an item with counters, about 600 bytes each
    max_pairs: int = 500_000


@dataclass(frozen=True)
class FeedbackConfig:
    """How long events are kept, and how many of them are in memory."""

    # events older than this number of days are removed; 0 keeps all events
    retention_days: float = 0.0
    # number of the latest events of a person that a history has besides purchases and returns
    history_events: int = 200
    history_purchases: int = 500  # number of the latest purchases and returns that a history has
    # largest number of events in all histories, about 200 bytes each, and largest number of
    # purchases and returns; the events of people who did nothing for the longest time are left out
    max_history_events: int = 2_000_000
    # pause between two transactions, because a few large transactions cost less than many small
    gather_seconds: float = 0.005
    transaction_events: int = 10_000  # maximum number of events in one transaction
    queued_events: int = 50_000  # maximum number of events that wait for a transaction
    # pause between two estimates of how many shoppers look at each position
    refresh_seconds: float = 60.0
    popular_seconds: float = 1.0  # pause between two counts of which items are popular now
    counters: CounterConfig = field(default_factory=CounterConfig)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a value is too small.
        """
        for name in (
            *("history_events", "history_purchases", "max_history_events"),
            *("transaction_events", "queued_events"),
        ):
            self._require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        for name in ("retention_days", "gather_seconds"):
            self._require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in ("refresh_seconds", "popular_seconds"):
            self._require(name, getattr(self, name), getattr(self, name) > 0, "more than 0")
        counters = self.counters
        for name in ("max_items", "max_pairs"):
            value = getattr(counters, name)
            self._require(f"counters.{name}", value, value >= 4, "4 or more")
        half_life = counters.half_life_days
        self._require("counters.half_life_days", half_life, half_life > 0, "more than 0")

    def _require(self, name: str, value: int | float, valid: bool, range_: str) -> None:
        if not valid:
            raise InputError(f"feedback: {name} is {value}; give {range_}")
