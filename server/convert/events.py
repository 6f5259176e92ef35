"""Convert events of requests to the records of the event log."""

from collections.abc import Sequence

from base.errors import RequestError
from behaviour.events import Event
from shortlist.v1 import event_pb2

_TYPES = {
    value: name.removeprefix("EVENT_TYPE_").lower()
    for name, value in event_pb2.EventType.items()
    if value != event_pb2.EVENT_TYPE_UNSPECIFIED
}


def event_records(messages: Sequence[event_pb2.Event]) -> list[Event]:
    """Convert messages to events. The log checks the limits of the events later.

    Raises:
        RequestError: an event has no time.
    """
    return [_event_record(message, index) for index, message in enumerate(messages)]


def _event_record(message: event_pb2.Event, index: int) -> Event:
    if not message.HasField("time"):
        raise RequestError(f"events[{index}].time", "is empty; give a value")
    return Event(
        event_id=message.event_id,
        time=message.time.seconds * 1_000_000 + message.time.nanos // 1_000,
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
