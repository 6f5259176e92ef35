"""The requests that `Client` and `AsyncClient` send, made in one place from Python's own types."""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from shortlist.v1 import (
    channel_pb2,
    facet_pb2,
    filter_pb2,
    item_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
)


class SearchOptions(TypedDict, total=False):
    """The fields of a SearchRequest beside the query; each has the server's default."""

    filter: filter_pb2.Filter | None  # see `shortlist.filters`; with one, the query may be ""
    facets: Sequence[facet_pb2.Facet]
    max_per_group: int
    page_size: int
    page_token: str
    recall_depth: int
    rerank_depth: int | None


class RetrieveOptions(TypedDict, total=False):
    """The fields of a RetrieveRequest beside the query; each has the server's default."""

    filter: filter_pb2.Filter | None
    page_size: int
    channels: Iterable[channel_pb2.Channel.ValueType]


def retrieve(
    query: str | Iterable[float], wanted: RetrieveOptions
) -> retrieval_service_pb2.RetrieveRequest:
    """Returns the request for a query text or vector."""
    request = retrieval_service_pb2.RetrieveRequest(**wanted)
    if isinstance(query, str):
        request.query = query
    else:
        request.vector.values.extend(query)
    return request


def search(query: str, wanted: SearchOptions) -> search_service_pb2.SearchRequest:
    """Returns the request for a query text."""
    return search_service_pb2.SearchRequest(query=query, **wanted)


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
