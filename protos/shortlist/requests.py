"""The requests that `Client` and `AsyncClient` send, built from Python values."""

import uuid
from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypedDict

from google.protobuf import field_mask_pb2

from shortlist.v1 import (
    catalog_service_pb2,
    channel_pb2,
    context_pb2,
    curation_service_pb2,
    event_pb2,
    exploration_pb2,
    facet_pb2,
    feedback_service_pb2,
    filter_pb2,
    item_pb2,
    recommend_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    rules_pb2,
    search_service_pb2,
    suggestion_service_pb2,
    understanding_pb2,
)
from shortlist.v1.catalog_service_pb2 import DeleteItemsRequest


class SearchOptions(TypedDict, total=False):
    """The fields of a SearchRequest except the query. The server has a default for every field."""

    filter: filter_pb2.Filter | None  # see `shortlist.filters`; with a filter the query may be ""
    facets: Sequence[facet_pb2.Facet]
    order_by: str  # such as "price", "price desc" or "rating desc, price"
    max_per_group: int
    show_variants: bool  # do not limit the results with the same group_id
    ignore_stock: bool  # leave results that are out of stock where they rank
    highlight: bool  # return the words of each result that match the query
    rules: rules_pb2.Rules | None  # see `shortlist.rules`
    page_size: int
    page_token: str
    recall_depth: int
    rerank_depth: int | None
    min_relevance: float | None  # results with a lower relevance are left out
    item_fields: Iterable[str]  # fields of items to return, such as "title"; empty means all
    language: str  # of the query, such as "en" or "pt-BR"
    understanding: understanding_pb2.Understanding | None  # the kinds of understanding to turn off
    exploration: exploration_pb2.Exploration | None  # show uncertain items at some positions
    person: context_pb2.Person | None  # the person for whom the results are ranked
    context: context_pb2.Context | None  # the situation, such as the country


class ListOptions(TypedDict, total=False):
    """The fields that requests for recommendations share; the server has defaults for them."""

    person: context_pb2.Person | None
    filter: filter_pb2.Filter | None
    facets: Sequence[facet_pb2.Facet]
    rules: rules_pb2.Rules | None  # see `shortlist.rules`
    max_per_group: int
    ignore_stock: bool  # leave results that are out of stock where they rank
    bought_within_days: int  # leave out items that the person bought so recently
    seen_within_days: int  # leave out items that the person viewed or clicked so recently
    page_size: int
    page_token: str
    item_fields: Iterable[str]  # fields of items to return, such as "title"; empty means all


class RecommendOptions(ListOptions, total=False):
    """The fields of a RecommendRequest; the server has defaults for them."""

    surface: recommend_service_pb2.Surface.ValueType
    item_ids: Sequence[str]  # the items on the page or in the basket
    context: context_pb2.Context | None
    exploration: exploration_pb2.Exploration | None  # show uncertain items at some positions


class SimilarOptions(TypedDict, total=False):
    """The fields of a SimilarItemsRequest except the item; the server has defaults for them."""

    filter: filter_pb2.Filter | None
    page_size: int
    exclude_variants: bool
    item_fields: Iterable[str]


class RetrieveOptions(TypedDict, total=False):
    """The fields of a RetrieveRequest except the query; the server has defaults for them."""

    filter: filter_pb2.Filter | None
    page_size: int
    channels: Iterable[channel_pb2.Channel.ValueType]
    item_fields: Iterable[str]  # fields of items to return, "*" for all; empty means no items


class SuggestOptions(TypedDict, total=False):
    """The fields of a SuggestRequest except the prefix; the server has defaults for them."""

    page_size: int
    language: str  # BCP 47 tag, such as "en"
    kinds: Iterable[suggestion_service_pb2.SuggestionKind.ValueType]


class CurationOptions(TypedDict, total=False):
    """The fields of every change of a curation."""

    author: str  # who makes the change
    expected_revision: int | None  # the revision that the curation must have; 0: none


class ListCurationsOptions(TypedDict, total=False):
    """The fields of a ListCurationsRequest."""

    page_size: int
    page_token: str
    kind: curation_service_pb2.CurationKind.ValueType
    query: str  # only curations that concern this query


# What a curation does: see `synonyms` and `query_rules`.
Curated: TypeAlias = curation_service_pb2.SynonymRule | curation_service_pb2.QueryRules


def retrieve(
    query: str | Iterable[float], options: RetrieveOptions
) -> retrieval_service_pb2.RetrieveRequest:
    """Return a RetrieveRequest for a query text or a vector."""
    fields = options.pop("item_fields", ())
    request = retrieval_service_pb2.RetrieveRequest(**options)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    if isinstance(query, str):
        request.query = query
    else:
        request.vector.values.extend(query)
    return request


def search(query: str, options: SearchOptions) -> search_service_pb2.SearchRequest:
    """Return a SearchRequest for a query text."""
    fields = options.pop("item_fields", ())
    request = search_service_pb2.SearchRequest(query=query, **options)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    return request


def stream_search(query: str, options: SearchOptions) -> search_service_pb2.StreamSearchRequest:
    """Return a StreamSearchRequest for a query text."""
    return search_service_pb2.StreamSearchRequest(search=search(query, options))


def similar_items(
    item_id: str, options: SimilarOptions
) -> retrieval_service_pb2.SimilarItemsRequest:
    """Return a SimilarItemsRequest for an item of the catalogue."""
    fields = options.pop("item_fields", ())
    request = retrieval_service_pb2.SimilarItemsRequest(item_id=item_id, **options)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    return request


def recommend(options: RecommendOptions) -> recommend_service_pb2.RecommendRequest:
    """Return a RecommendRequest."""
    fields = options.pop("item_fields", ())
    request = recommend_service_pb2.RecommendRequest(**options)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    return request


def recommend_similar(
    item_id: str, options: ListOptions
) -> recommend_service_pb2.RecommendServiceSimilarItemsRequest:
    """Return a request of RecommendService for the items that are most like an item."""
    fields = options.pop("item_fields", ())
    kind = recommend_service_pb2.RecommendServiceSimilarItemsRequest
    request = kind(item_id=item_id, **options)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    return request


def complementary_items(
    item_ids: Sequence[str], options: ListOptions
) -> recommend_service_pb2.ComplementaryItemsRequest:
    """Return a ComplementaryItemsRequest for some items."""
    fields = options.pop("item_fields", ())
    kind = recommend_service_pb2.ComplementaryItemsRequest
    request = kind(item_ids=item_ids, **options)  # type: ignore[arg-type]
    request.item_fields.paths.extend(fields)
    return request


def suggest(prefix: str, options: SuggestOptions) -> suggestion_service_pb2.SuggestRequest:
    """Return a SuggestRequest for a typed text."""
    return suggestion_service_pb2.SuggestRequest(prefix=prefix, **options)


def synonyms(line: str, language: str = "") -> curation_service_pb2.SynonymRule:
    """Return a rule of synonyms for `set_curation`, such as "sofa, couch"."""
    return curation_service_pb2.SynonymRule(line=line, language=language)


def query_rules(
    queries: Sequence[str], rules: rules_pb2.Rules | None = None
) -> curation_service_pb2.QueryRules:
    """Return rules for some queries, for `set_curation`; see `shortlist.rules`."""
    return curation_service_pb2.QueryRules(queries=queries, rules=rules)


def set_curation(
    content: Curated, curation_id: str, options: CurationOptions
) -> curation_service_pb2.SetCurationRequest:
    """Return a change of a curation with a random request id, so that it can be sent again."""
    request = curation_service_pb2.SetCurationRequest(
        request_id=uuid.uuid4().hex, curation_id=curation_id, **options
    )
    if isinstance(content, curation_service_pb2.SynonymRule):
        request.synonyms.CopyFrom(content)
    else:
        request.query_rules.CopyFrom(content)
    return request


def delete_curation(
    curation_id: str, options: CurationOptions
) -> curation_service_pb2.DeleteCurationRequest:
    """Return a deletion of a curation with a random request id."""
    request_id = uuid.uuid4().hex
    return curation_service_pb2.DeleteCurationRequest(
        request_id=request_id, curation_id=curation_id, **options
    )


def undo_curation(
    curation_id: str, options: CurationOptions
) -> curation_service_pb2.UndoCurationRequest:
    """Return an undo of the last change of a curation with a random request id."""
    request_id = uuid.uuid4().hex
    return curation_service_pb2.UndoCurationRequest(
        request_id=request_id, curation_id=curation_id, **options
    )


def list_curations(options: ListCurationsOptions) -> curation_service_pb2.ListCurationsRequest:
    """Return a ListCurationsRequest."""
    return curation_service_pb2.ListCurationsRequest(**options)


def get_item(item_id: str, item_fields: Iterable[str]) -> catalog_service_pb2.GetItemRequest:
    """Return a GetItemRequest; empty `item_fields` means all fields."""
    fields = field_mask_pb2.FieldMask(paths=item_fields)
    return catalog_service_pb2.GetItemRequest(item_id=item_id, item_fields=fields)


def batch_get_items(
    item_ids: Sequence[str], item_fields: Iterable[str]
) -> catalog_service_pb2.BatchGetItemsRequest:
    """Return a BatchGetItemsRequest; empty `item_fields` means all fields."""
    fields = field_mask_pb2.FieldMask(paths=item_fields)
    return catalog_service_pb2.BatchGetItemsRequest(item_ids=item_ids, item_fields=fields)


def list_items(
    page_size: int, page_token: str, item_fields: Iterable[str]
) -> catalog_service_pb2.ListItemsRequest:
    """Return a ListItemsRequest; empty `item_fields` means all fields."""
    return catalog_service_pb2.ListItemsRequest(
        page_size=page_size,
        page_token=page_token,
        item_fields=field_mask_pb2.FieldMask(paths=item_fields),
    )


def upsert(
    item: item_pb2.Item, *, fields: Iterable[str] = (), request_id: str | None = None
) -> catalog_service_pb2.UpsertItemsRequest:
    """Return a write of an item.

    Args:
        item: The item. The server clears a field to write that has no value in the item.
        fields: The fields to write, such as "price"; empty creates or replaces the whole item.
        request_id: The id of the write; None means a random id. Sending the write again with the
            same id changes nothing.
    """
    return catalog_service_pb2.UpsertItemsRequest(
        request_id=request_id or uuid.uuid4().hex,
        item=item,
        update_mask=field_mask_pb2.FieldMask(paths=fields),
    )


def deletion(item_id: str, *, request_id: str | None = None) -> DeleteItemsRequest:
    """Return a deletion of an item; see `upsert` for `request_id`."""
    return DeleteItemsRequest(request_id=request_id or uuid.uuid4().hex, item_id=item_id)


def record_events(
    events: Iterable[event_pb2.Event],
) -> feedback_service_pb2.RecordEventsRequest:
    """Return a RecordEventsRequest for up to 1,000 events."""
    return feedback_service_pb2.RecordEventsRequest(events=events)


def embed(inputs: Sequence[str | item_pb2.Item]) -> retrieval_service_pb2.EmbedRequest:
    """Return an EmbedRequest for query texts and items."""
    return retrieval_service_pb2.EmbedRequest(
        inputs=[
            retrieval_service_pb2.EmbedInput(query=value)
            if isinstance(value, str)
            else retrieval_service_pb2.EmbedInput(item=value)
            for value in inputs
        ]
    )


def rerank(
    query: str, candidates: Sequence[str | item_pb2.Item]
) -> rerank_service_pb2.RerankRequest:
    """Return a RerankRequest for candidates, given as ids or as whole items."""
    return rerank_service_pb2.RerankRequest(
        query=query,
        candidates=[
            rerank_service_pb2.RerankCandidate(item_id=candidate)
            if isinstance(candidate, str)
            else rerank_service_pb2.RerankCandidate(item=candidate)
            for candidate in candidates
        ],
    )
