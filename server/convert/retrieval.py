"""Convert between RetrievalService's messages and the engine's records."""

import numpy as np
from jaxtyping import Float32

from catalog.items import Item
from search.errors import RequestError
from search.request import (
    DENSE,
    MAX_PAGE_SIZE,
    MAX_RETRIEVE,
    EmbedRequest,
    RetrieveRequest,
    SimilarItemsRequest,
)
from search.result import Embeddings, SearchResult
from server.convert.common import (
    CHANNEL_NAMES,
    COMPLETE,
    coverage_message,
    filter_of,
    recalled_messages,
    stage_messages,
)
from server.convert.items import item_message, item_record
from shortlist.v1 import retrieval_service_pb2, vector_pb2

DEFAULT_RETRIEVE = 100
DEFAULT_SIMILAR = 10


def retrieve_request(
    message: retrieval_service_pb2.RetrieveRequest, deadline: float | None
) -> RetrieveRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    query: str | Float32[np.ndarray, " dim"]
    match message.WhichOneof("input"):
        case "query":
            query = message.query
        case "vector":
            query = np.array(message.vector.values, np.float32)
        case _:
            raise RequestError("input", "needs a query or a vector")
    for index, number in enumerate(message.channels):
        if number not in CHANNEL_NAMES:
            raise RequestError(f"channels[{index}]", "is unspecified or unknown")
    return RetrieveRequest(
        query,
        channels=tuple(CHANNEL_NAMES[number] for number in message.channels),
        filter=filter_of(message),
        page_size=min(message.page_size, MAX_RETRIEVE) or DEFAULT_RETRIEVE,
        with_items=bool(message.item_fields.paths),
        deadline=deadline,
    )


def retrieve_response(
    result: SearchResult, bundle_id: str, fields: frozenset[str] | None = None
) -> retrieval_service_pb2.RetrieveResponse:
    """Convert a result to a response, with the given item fields (None: all fields)."""
    return retrieval_service_pb2.RetrieveResponse(
        results=[
            retrieval_service_pb2.RetrieveResult(
                item_id=hit.item_id,
                score=hit.score,
                dense_score=hit.channel_scores.get(DENSE),
                recalled_by=recalled_messages(hit),
                item=item_message(hit.item, fields) if hit.item else None,
            )
            for hit in result.hits
        ],
        stages=stage_messages(result.stages),
        bundle_id=bundle_id,
        coverage=coverage_message(result),
    )


def similar_items_request(
    message: retrieval_service_pb2.SimilarItemsRequest, deadline: float | None
) -> SimilarItemsRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    return SimilarItemsRequest(
        message.item_id,
        filter=filter_of(message),
        exclude_variants=message.exclude_variants,
        page_size=min(message.page_size, MAX_PAGE_SIZE) or DEFAULT_SIMILAR,
        deadline=deadline,
    )


def similar_items_response(
    result: SearchResult, bundle_id: str, fields: frozenset[str] | None = None
) -> retrieval_service_pb2.SimilarItemsResponse:
    """Convert a result to a response, with the given item fields (None: all fields)."""
    return retrieval_service_pb2.SimilarItemsResponse(
        results=[
            retrieval_service_pb2.SimilarItemsResult(
                item=item_message(hit.item, fields) if hit.item else None,
                item_id=hit.item_id,
                score=hit.score,
            )
            for hit in result.hits
        ],
        stages=stage_messages(result.stages),
        bundle_id=bundle_id,
        coverage=coverage_message(result),
    )


def embed_request(
    message: retrieval_service_pb2.EmbedRequest, deadline: float | None
) -> EmbedRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    inputs: list[str | Item] = []
    for index, entry in enumerate(message.inputs):
        path = f"inputs[{index}]"
        match entry.WhichOneof("input"):
            case "query":
                inputs.append(entry.query)
            case "item":
                inputs.append(item_record(entry.item, f"{path}.item"))
            case _:
                raise RequestError(path, "needs a query or an item")
    return EmbedRequest(inputs, deadline=deadline)


def embed_response(embeddings: Embeddings, bundle_id: str) -> retrieval_service_pb2.EmbedResponse:
    """Convert embeddings to a response."""
    return retrieval_service_pb2.EmbedResponse(
        embeddings=[vector_pb2.Vector(values=vector.tolist()) for vector in embeddings.vectors],
        bundle_id=bundle_id,
        stages=stage_messages(embeddings.stages),
        coverage=COMPLETE,
    )
