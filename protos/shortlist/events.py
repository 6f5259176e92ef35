"""Events for `record_events`: `event_of("click", response, result, session_id="visit-81")`."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias, TypedDict, Unpack

from shortlist.v1 import event_pb2, recommend_service_pb2, search_service_pb2

# The responses and the results that events can follow from.
Response: TypeAlias = (
    search_service_pb2.SearchResponse
    | recommend_service_pb2.RecommendResponse
    | recommend_service_pb2.RecommendServiceSimilarItemsResponse
    | recommend_service_pb2.ComplementaryItemsResponse
)
Result: TypeAlias = search_service_pb2.SearchResult | recommend_service_pb2.Recommendation


class EventOptions(TypedDict, total=False):
    """The optional fields of an Event."""

    user_id: str
    session_id: str
    query: str
    position: int  # from 1, through all pages
    request_id: str  # of the call that returned the item
    bundle_id: str  # of the response that contained the item
    context: Mapping[str, str]  # such as {"device": "phone"}
    propensity: float | None  # probability of being shown at this position, with exploration
    price: float | None
    quantity: float | None
    promotion_id: str  # of the promotion that showed the item


def event(
    type: str,  # noqa: A002 - the name of the field
    item_id: str,
    *,
    event_id: str | None = None,
    time: datetime | None = None,
    **options: Unpack[EventOptions],
) -> event_pb2.Event:
    """Return an event for `record_events`.

    Args:
        type: What the person did, such as "click" or "add_to_cart".
        item_id: The item.
        event_id: The id of the event; None means a random id. Recording the event again with the
            same id changes nothing.
        time: When the event happened, with a time zone; None means now.
        options: The other fields.

    Raises:
        ValueError: The type is unknown.
    """
    message = event_pb2.Event(
        event_id=event_id or uuid.uuid4().hex,
        type=event_pb2.EventType.Value(f"EVENT_TYPE_{type.upper()}"),
        item_id=item_id,
        **options,
    )
    message.time.FromDatetime(time or datetime.now(UTC))
    return message


def event_of(
    type: str,  # noqa: A002 - the name of the field
    response: Response,
    result: Result,
    *,
    event_id: str | None = None,
    time: datetime | None = None,
    **options: Unpack[EventOptions],
) -> event_pb2.Event:
    """Return an event with a result of a response, for `record_events`.

    The event has the position, the propensity and the promotion of the result, and the request
    and the bundle that returned it. The other arguments are those of `event`.
    """
    message = event(type, result.item_id, event_id=event_id, time=time, **options)
    message.position = result.rank
    message.request_id, message.bundle_id = response.request_id, response.bundle_id
    message.promotion_id = result.promotion_id
    if result.HasField("propensity"):
        message.propensity = result.propensity
    return message
