"""Convert the messages of CatalogService that read items; `server/rpc/writes.py` has the writes."""

from search.errors import RequestError
from search.result import Lookup
from server.convert.common import COMPLETE, stage_messages
from server.convert.items import item_fields, item_message
from shortlist.v1 import catalog_service_pb2

MAX_BATCH_GET = 100


def get_item_record(
    request: catalog_service_pb2.GetItemRequest,
) -> tuple[str, frozenset[str] | None]:
    """Return the requested id and item fields (None: all fields); raise RequestError."""
    if not request.item_id:
        raise RequestError("item_id", "must not be empty")
    return request.item_id, item_fields(request.item_fields, "item_fields")


def get_item_response(
    found: Lookup, fields: frozenset[str] | None, bundle_id: str
) -> catalog_service_pb2.GetItemResponse:
    """Return the response with the one item found, reduced to some fields."""
    [item] = found.items
    return catalog_service_pb2.GetItemResponse(
        item=item_message(item, fields),
        bundle_id=bundle_id,
        stages=stage_messages(found.stages),
        coverage=COMPLETE,
    )


def batch_get_record(
    request: catalog_service_pb2.BatchGetItemsRequest,
) -> tuple[list[str], frozenset[str] | None]:
    """Return the requested ids without repetitions, and the item fields (None: all fields).

    Raises:
        RequestError: a field is out of its limits.
    """
    if not 1 <= len(request.item_ids) <= MAX_BATCH_GET:
        raise RequestError("item_ids", f"must be from 1 to {MAX_BATCH_GET}")
    for place, item_id in enumerate(request.item_ids):
        if not item_id:
            raise RequestError(f"item_ids[{place}]", "must not be empty")
    fields = item_fields(request.item_fields, "item_fields")
    return list(dict.fromkeys(request.item_ids)), fields


def batch_get_response(
    found: Lookup, fields: frozenset[str] | None, bundle_id: str
) -> catalog_service_pb2.BatchGetItemsResponse:
    """Return the response with the found items, reduced to some fields, and the missing ids."""
    return catalog_service_pb2.BatchGetItemsResponse(
        items=[item_message(item, fields) for item in found.items],
        missing_item_ids=found.missing,
        bundle_id=bundle_id,
        stages=stage_messages(found.stages),
        coverage=COMPLETE,
    )
