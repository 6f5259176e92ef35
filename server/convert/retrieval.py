"""RetrievalService's messages and the engine's records."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from catalog.filters import Filter
from catalog.schema import Item
from search.result import (
    MAX_EMBED_TEXTS,
    MAX_PAGE_SIZE,
    MAX_RETRIEVE,
    Channel,
    Embedded,
    RequestError,
    SearchResult,
)
from server.convert.common import (
    CHANNELS,
    WHOLE,
    check_query,
    coverage_message,
    recalled_messages,
    request_filter,
    size,
    stage_messages,
)
from server.convert.items import item_fields, item_message, item_record
from shortlist.v1 import retrieval_service_pb2, vector_pb2

DEFAULT_RETRIEVE = 100
DEFAULT_SIMILAR = 10


def retrieve_query(
    request: retrieval_service_pb2.RetrieveRequest, dim: int
) -> str | Float32[np.ndarray, "dim"]:
    """Returns the query text, or the query's unit vector; raises RequestError."""
    match request.WhichOneof("input"):
        case "query":
            check_query(request.query, "query")
            return request.query
        case "vector":
            return _vector(request.vector, dim)
        case _:
            raise RequestError("input", "needs a query or a vector")


def retrieve_limit(request: retrieval_service_pb2.RetrieveRequest) -> int:
    """Returns how many hits a request asks for; raises RequestError."""
    return size(request.page_size, "page_size", MAX_RETRIEVE) or DEFAULT_RETRIEVE


def retrieve_channels(request: retrieval_service_pb2.RetrieveRequest) -> frozenset[Channel]:
    """Returns the channels that a request asks for; raises RequestError."""
    for place, number in enumerate(request.channels):
        if number not in CHANNELS:
            raise RequestError(f"channels[{place}]", "is unspecified or unknown")
    channels = frozenset(CHANNELS[number] for number in request.channels)
    if request.WhichOneof("input") == "vector" and channels - {Channel.DENSE}:
        raise RequestError("channels", "must be CHANNEL_DENSE alone for a vector")
    return channels or frozenset(Channel)


def retrieve_fields(
    request: retrieval_service_pb2.RetrieveRequest,
) -> tuple[bool, frozenset[str] | None]:
    """Returns whether hits are to have items, and which of their fields; raises RequestError.

    The fields are None for all, as `items.item_fields` has them.
    """
    return bool(request.item_fields.paths), item_fields(request.item_fields, "item_fields")


def retrieve_response(
    result: SearchResult, bundle_id: str, fields: frozenset[str] | None = None
) -> retrieval_service_pb2.RetrieveResponse:
    """Returns the response of a retrieval, with these fields of the items that its hits have."""
    return retrieval_service_pb2.RetrieveResponse(
        results=[
            retrieval_service_pb2.RetrieveResult(
                item_id=hit.item_id,
                score=hit.score,
                dense_score=hit.dense_score,
                recalled_by=recalled_messages(hit),
                item=item_message(hit.item, fields) if hit.item else None,
            )
            for hit in result.hits
        ],
        stages=stage_messages(result.stages),
        bundle_id=bundle_id,
        coverage=coverage_message(result),
    )


@dataclass(frozen=True)
class Similar:
    """A search for similar items as the engine takes it."""

    item_id: str
    limit: int
    filter: Filter | None
    variants: bool  # whether they are let in
    fields: frozenset[str] | None  # of each item to return; None: all


def similar_record(request: retrieval_service_pb2.SimilarItemsRequest) -> Similar:
    """Returns what a request asks for; raises RequestError."""
    if not request.item_id:
        raise RequestError("item_id", "must not be empty")
    return Similar(
        request.item_id,
        size(request.page_size, "page_size", MAX_PAGE_SIZE) or DEFAULT_SIMILAR,
        request_filter(request),
        not request.exclude_variants,
        item_fields(request.item_fields, "item_fields"),
    )


def similar_response(
    similar: Similar, result: SearchResult, bundle_id: str
) -> retrieval_service_pb2.SimilarItemsResponse:
    """Returns the response of a search for similar items."""
    return retrieval_service_pb2.SimilarItemsResponse(
        results=[
            retrieval_service_pb2.SimilarItemsResult(
                item=item_message(hit.item, similar.fields) if hit.item else None,
                item_id=hit.item_id,
                score=hit.score,
            )
            for hit in result.hits
        ],
        stages=stage_messages(result.stages),
        bundle_id=bundle_id,
        coverage=coverage_message(result),
    )


def embed_inputs(request: retrieval_service_pb2.EmbedRequest) -> list[str | Item]:
    """Returns the queries (as str) and items to encode; raises RequestError."""
    if not 1 <= len(request.inputs) <= MAX_EMBED_TEXTS:
        raise RequestError("inputs", f"must be from 1 to {MAX_EMBED_TEXTS}")
    inputs: list[str | Item] = []
    for place, given in enumerate(request.inputs):
        path = f"inputs[{place}]"
        match given.WhichOneof("input"):
            case "query":
                check_query(given.query, f"{path}.query")
                inputs.append(given.query)
            case "item":
                inputs.append(item_record(given.item, f"{path}.item", needs_id=False))
            case _:
                raise RequestError(path, "needs a query or an item")
    return inputs


def embed_response(embedded: Embedded, bundle_id: str) -> retrieval_service_pb2.EmbedResponse:
    """Returns the response of an encoding."""
    return retrieval_service_pb2.EmbedResponse(
        embeddings=[vector_pb2.Vector(values=vector.tolist()) for vector in embedded.vectors],
        bundle_id=bundle_id,
        stages=stage_messages(embedded.stages),
        coverage=WHOLE,
    )


def _vector(message: vector_pb2.Vector, dim: int) -> Float32[np.ndarray, "dim"]:
    vector = np.array(message.values, dtype=np.float32)
    if len(vector) != dim:
        raise RequestError("vector", f"must have {dim} values, not {len(vector)}")
    if not np.isfinite(vector).all():
        raise RequestError("vector", "must have finite values only")
    if not vector.any():
        raise RequestError("vector", "must not be all zero")
    # Scaled in float64, where the squares of the largest and smallest float32 are still numbers.
    wide = vector.astype(np.float64)
    return (wide / np.linalg.norm(wide)).astype(np.float32)
