"""Convert the messages of GetItem and BatchGetItems; `server/rpc/writes.py` converts writes."""

from search.request import BatchGetItemsRequest, GetItemRequest
from search.result import Lookup
from server.convert.common import COMPLETE, stage_messages
from server.convert.items import item_message
from shortlist.v1 import catalog_service_pb2


def get_item_request(message: catalog_service_pb2.GetItemRequest) -> GetItemRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    return GetItemRequest(message.item_id)


def get_item_response(
    lookup: Lookup, fields: frozenset[str] | None, bundle_id: str
) -> catalog_service_pb2.GetItemResponse:
    """Return the response for one item, with the given item fields (None: all fields)."""
    [item] = lookup.items
    return catalog_service_pb2.GetItemResponse(
        item=item_message(item, fields),
        bundle_id=bundle_id,
        stages=stage_messages(lookup.stages),
        coverage=COMPLETE,
    )


def batch_get_request(message: catalog_service_pb2.BatchGetItemsRequest) -> BatchGetItemsRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    return BatchGetItemsRequest(tuple(message.item_ids))


def batch_get_response(
    lookup: Lookup, fields: frozenset[str] | None, bundle_id: str
) -> catalog_service_pb2.BatchGetItemsResponse:
    """Return the response for several items, with the given item fields (None: all fields)."""
    return catalog_service_pb2.BatchGetItemsResponse(
        items=[item_message(item, fields) for item in lookup.items],
        missing_item_ids=lookup.missing,
        bundle_id=bundle_id,
        stages=stage_messages(lookup.stages),
        coverage=COMPLETE,
    )
