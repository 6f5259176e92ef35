"""Convert events of requests to the records of the event log."""

from collections.abc import Sequence

from base.errors import RequestError, check_count
from behaviour.events import MAX_EVENTS, Event
from server.convert.dates import microseconds
from shortlist.v1 import event_pb2

_TYPES = {
    value: name.removeprefix("EVENT_TYPE_").lower()
    for name, value in event_pb2.EventType.items()
    if value != event_pb2.EVENT_TYPE_UNSPECIFIED
}


def event_records(messages: Sequence[event_pb2.Event]) -> list[Event]:
    """Convert messages to events. The log checks the limits of the events later.

    Raises:
        RequestError: there are no messages or too many, or an event has no valid time.
    """
    check_count(len(messages), "events", 1, MAX_EVENTS, "events")  # before the work per message
    return [_event_record(message, index) for index, message in enumerate(messages)]


def _event_record(message: event_pb2.Event, index: int) -> Event:
    path = f"events[{index}].time"
    if not message.HasField("time"):
        raise RequestError(path, "is empty; give a value")
    return Event(
        event_id=message.event_id,
        time=microseconds(message.time, path),
        type=_TYPES.get(message.type, ""),
        item_id=message.item_id,
        user_id=message.user_id or None,
        session_id=message.session_id or None,
        query=message.query or None,
        position=message.position or None,
        request_id=message.request_id or None,
        bundle_id=message.bundle_id or None,
        context=dict(message.context),
        propensity=message.propensity if message.HasField("propensity") else None,
        price=message.price if message.HasField("price") else None,
        quantity=message.quantity if message.HasField("quantity") else None,
        promotion_id=message.promotion_id or None,
    )
