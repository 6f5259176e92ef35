"""The requests that `Client` and `AsyncClient` send, made in one place from Python's own types."""

import uuid
from collections.abc import Iterable, Sequence
from typing import TypedDict

from google.protobuf import field_mask_pb2

from shortlist.v1 import (
    catalog_service_pb2,
    channel_pb2,
    facet_pb2,
    filter_pb2,
    item_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    rules_pb2,
    search_service_pb2,
)
from shortlist.v1.catalog_service_pb2 import DeleteItemsRequest


class SearchOptions(TypedDict, total=False):
    """The fields of a SearchRequest beside the query; each has the server's default."""

    filter: filter_pb2.Filter | None  # see `shortlist.filters`; with one, the query may be ""
    facets: Sequence[facet_pb2.Facet]
    max_per_group: int
    rules: rules_pb2.Rules | None  # see `shortlist.rules`
    page_size: int
    page_token: str
    recall_depth: int
    rerank_depth: int | None
    item_fields: Iterable[str]  # the fields of items that come back, such as "title"; none: all


class SimilarOptions(TypedDict, total=False):
    """The fields of a SimilarItemsRequest beside the item; each has the server's default."""

    filter: filter_pb2.Filter | None
    page_size: int
    exclude_variants: bool
    item_fields: Iterable[str]


class RetrieveOptions(TypedDict, total=False):
    """The fields of a RetrieveRequest beside the query; each has the server's default."""

    filter: filter_pb2.Filter | None
    page_size: int
    channels: Iterable[channel_pb2.Channel.ValueType]
    item_fields: Iterable[str]  # the fields of items that come back, "*" for all; none: no items


def retrieve(
    query: str | Iterable[float], wanted: RetrieveOptions
) -> retrieval_service_pb2.RetrieveRequest:
    """Returns the request for a query text or vector."""
    fields = wanted.pop("item_fields", ())
    request = retrieval_service_pb2.RetrieveRequest(**wanted)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    if isinstance(query, str):
        request.query = query
    else:
        request.vector.values.extend(query)
    return request


def search(query: str, wanted: SearchOptions) -> search_service_pb2.SearchRequest:
    """Returns the request for a query text."""
    fields = wanted.pop("item_fields", ())
    request = search_service_pb2.SearchRequest(query=query, **wanted)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    return request


def stream_search(query: str, wanted: SearchOptions) -> search_service_pb2.StreamSearchRequest:
    """Returns the request for a query text."""
    return search_service_pb2.StreamSearchRequest(search=search(query, wanted))


def similar_items(
    item_id: str, wanted: SimilarOptions
) -> retrieval_service_pb2.SimilarItemsRequest:
    """Returns the request for an item of the catalogue."""
    fields = wanted.pop("item_fields", ())
    request = retrieval_service_pb2.SimilarItemsRequest(item_id=item_id, **wanted)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    return request


def get_item(item_id: str, item_fields: Iterable[str]) -> catalog_service_pb2.GetItemRequest:
    """Returns the request for an item and the fields of it that come back; none: all."""
    fields = field_mask_pb2.FieldMask(paths=item_fields)
    return catalog_service_pb2.GetItemRequest(item_id=item_id, item_fields=fields)


def batch_get_items(
    item_ids: Sequence[str], item_fields: Iterable[str]
) -> catalog_service_pb2.BatchGetItemsRequest:
    """Returns the request for items and the fields of them that come back; none: all."""
    fields = field_mask_pb2.FieldMask(paths=item_fields)
    return catalog_service_pb2.BatchGetItemsRequest(item_ids=item_ids, item_fields=fields)


def upsert(
    item: item_pb2.Item, *, fields: Iterable[str] = (), request_id: str | None = None
) -> catalog_service_pb2.UpsertItemsRequest:
    """Returns a write of an item.

    Args:
        item: The item; what it does not have is cleared.
        fields: The fields to write, such as "price"; none creates or replaces the item as a whole.
        request_id: Names the write, so that sending it again changes nothing; None for a fresh one.
    """
    return catalog_service_pb2.UpsertItemsRequest(
        request_id=request_id or uuid.uuid4().hex,
        item=item,
        update_mask=field_mask_pb2.FieldMask(paths=fields),
    )


def deletion(item_id: str, *, request_id: str | None = None) -> DeleteItemsRequest:
    """Returns a deletion of an item; see `upsert` for `request_id`."""
    return DeleteItemsRequest(request_id=request_id or uuid.uuid4().hex, item_id=item_id)


def embed(inputs: Sequence[str | item_pb2.Item]) -> retrieval_service_pb2.EmbedRequest:
    """Returns the request for query texts and items."""
    return retrieval_service_pb2.EmbedRequest(
        inputs=[
            retrieval_service_pb2.EmbedInput(query=given)
            if isinstance(given, str)
            else retrieval_service_pb2.EmbedInput(item=given)
            for given in inputs
        ]
    )


def rerank(
    query: str, candidates: Sequence[str | item_pb2.Item]
) -> rerank_service_pb2.RerankRequest:
    """Returns the request for candidates given as ids or as whole items."""
    return rerank_service_pb2.RerankRequest(
        query=query,
        candidates=[
            rerank_service_pb2.RerankCandidate(item_id=given)
            if isinstance(given, str)
            else rerank_service_pb2.RerankCandidate(item=given)
            for given in candidates
        ],
    )
