"""Convert the messages of GetItem and BatchGetItems; `server/rpc/writes.py` converts writes."""

from search.result import Lookup
from search.validation import check_count, check_id
from server.convert.common import COMPLETE, stage_messages
from server.convert.items import item_fields, item_message
from shortlist.v1 import catalog_service_pb2

MAX_BATCH_GET = 100


def get_item_record(
    request: catalog_service_pb2.GetItemRequest,
) -> tuple[str, frozenset[str] | None]:
    """Return the requested item id and item fields (None: all fields).

    Raises:
        RequestError: the id is empty, or a requested field does not exist.
    """
    check_id(request.item_id, "item_id")
    return request.item_id, item_fields(request.item_fields, "item_fields")


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


def batch_get_record(
    request: catalog_service_pb2.BatchGetItemsRequest,
) -> tuple[list[str], frozenset[str] | None]:
    """Return the requested item ids without duplicates, and item fields (None: all fields).

    Raises:
        RequestError: there are too few or too many ids, an id is empty, or a requested field does
            not exist.
    """
    check_count("item_ids", len(request.item_ids), MAX_BATCH_GET)
    for index, item_id in enumerate(request.item_ids):
        check_id(item_id, f"item_ids[{index}]")
    fields = item_fields(request.item_fields, "item_fields")
    return list(dict.fromkeys(request.item_ids)), fields


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
