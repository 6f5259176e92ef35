"""Convert messages that read the catalogue; `server/rpc/writes.py` converts writes."""

import base64
import binascii

from search.request import BatchGetItemsRequest, GetItemRequest, ListItemsRequest
from search.result import ItemList, Lookup
from server.convert.common import COMPLETE, stage_messages
from server.convert.items import item_message
from server.convert.page_tokens import MAX_PAGE_BYTES, PageTokenError
from shortlist.v1 import catalog_service_pb2

_LIST = "items:"  # begins the text of a page token; the id of the last item follows


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


def list_items_request(message: catalog_service_pb2.ListItemsRequest) -> ListItemsRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    return ListItemsRequest(message.page_size, _read_token(message.page_token))


def _token(last: str) -> str:
    """Return the token of the page after an item."""
    return base64.urlsafe_b64encode(f"{_LIST}{last}".encode()).decode("ascii")


def _read_token(token: str) -> str:
    """Return the id of the last item on the page before; "" for the first page."""
    if not token:
        return ""
    try:
        text = base64.b64decode(token, b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise PageTokenError from None
    if not text.startswith(_LIST):
        raise PageTokenError
    return text.removeprefix(_LIST)


def list_items_response(
    listed: ItemList, fields: frozenset[str] | None, bundle_id: str
) -> catalog_service_pb2.ListItemsResponse:
    """Return the response for a page, with the given item fields (None: all fields).

    A page ends before it has more than MAX_PAGE_BYTES, but has at least one item.
    """
    response = catalog_service_pb2.ListItemsResponse(
        total_size=listed.total,
        bundle_id=bundle_id,
        stages=stage_messages(listed.stages),
        coverage=COMPLETE,
    )
    size, more, last = 0, listed.more, ""
    for item in listed.items:
        message = item_message(item, fields)
        size += message.ByteSize()
        if response.items and size > MAX_PAGE_BYTES:
            more = True
            break
        response.items.append(message)
        last = item.item_id
    if more:
        response.next_page_token = _token(last)
    return response
