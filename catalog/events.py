"""The table of the fields of events: what people do with items.

The dataset table `events` and the event log use this table. Its types are Python types, so that the
log needs no Arrow and NumPy.
"""

import datetime
from dataclasses import dataclass

EVENT_TYPES = (
    "impression",  # the item was shown
    "view",  # the page of the item was opened
    "click",  # the item was clicked in a list
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "return",  # the item was sent back
)
# Largest difference between the time of an event and now, for clocks that are fast.
MAX_EARLY_SECONDS = 86_400
# Smallest logged probability. Estimates divide by it, so one event counts as a million at most.
MIN_PROPENSITY = 1e-6


@dataclass(frozen=True)
class EventField:
    """The properties of one field of events."""

    name: str
    type: type  # str, int, float, datetime.datetime, or dict for a map from text to text
    required: bool = False  # True: every event of a dataset must have a value that is not blank
    minimum: float | None = None  # smallest allowed number
    maximum: float | None = None  # largest allowed number
    choices: tuple[str, ...] = ()  # allowed texts; if empty, every text is allowed
    max_characters: int | None = None  # longest text that the log takes; datasets have no limit


EVENT_FIELDS = (
    EventField("time", datetime.datetime, required=True),
    EventField("item_id", str, required=True, max_characters=512),
    EventField("type", str, required=True, choices=EVENT_TYPES),
    EventField("session_id", str, max_characters=128),
    EventField("user_id", str, max_characters=128),
    EventField("query", str, max_characters=2_000),
    EventField(
        "position", int, minimum=1.0, maximum=100_000.0
    ),  # rank of the item in the list, from 1
    EventField("price", float, minimum=0.0, maximum=1e12),  # currency units
    # a purchase of a negative quantity is a return
    EventField("quantity", float, minimum=-1e9, maximum=1e9),
    EventField("event_id", str, max_characters=64),
    EventField("request_id", str, max_characters=128),  # of the call that showed the item
    EventField("bundle_id", str, max_characters=128),  # of the bundle that answered this call
    EventField("context", dict),  # the moment, such as {"device": "phone"}
    # the probability with which exploration showed the item at its position
    EventField("propensity", float, minimum=MIN_PROPENSITY, maximum=1.0),
    EventField("promotion_id", str, max_characters=64),  # of the promotion that showed the item
)
# The ids that an event may lack. A blank id is no id: its events have nothing in common.
OPTIONAL_IDS = ("user_id", "session_id", "request_id", "bundle_id", "promotion_id")
