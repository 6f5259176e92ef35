"""Convert between RetrievalService's messages and the engine's records."""

import numpy as np

from base.errors import RequestError
from catalog.items import Item
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


def retrieve_request(
    message: retrieval_service_pb2.RetrieveRequest, deadline: float | None
) -> RetrieveRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    vector = message.vector.values if message.HasField("vector") else None
    return RetrieveRequest(
        message.query if message.HasField("query") else None,
        vector=None if vector is None else np.array(vector, np.float32),
        channels=tuple(CHANNEL_NAMES.get(number, str(number)) for number in message.channels),
        filter=filter_of(message),
        page_size=min(message.page_size, MAX_RETRIEVE) or RetrieveRequest.page_size,
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
        page_size=min(message.page_size, MAX_PAGE_SIZE) or SimilarItemsRequest.page_size,
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
                raise RequestError(path, "is empty; give a query or an item")
    return EmbedRequest(inputs, deadline=deadline)


def embed_response(embeddings: Embeddings, bundle_id: str) -> retrieval_service_pb2.EmbedResponse:
    """Convert embeddings to a response."""
    return retrieval_service_pb2.EmbedResponse(
        embeddings=[vector_pb2.Vector(values=vector.tolist()) for vector in embeddings.vectors],
        bundle_id=bundle_id,
        stages=stage_messages(embeddings.stages),
        coverage=COMPLETE,
    )
