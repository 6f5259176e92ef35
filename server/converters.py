"""Between the contract's messages and the engine's records, both ways.

Whatever a message can get wrong by its shape is found here and raised as RequestError, with the
path of the field in the message. The rules are those of the comments in `shortlist/v1`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from catalog.facets import Facet
from catalog.filters import Filter
from catalog.schema import Item
from search.records import (
    MAX_DEPTH,
    MAX_EMBED_TEXTS,
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_QUERY_CHARACTERS,
    MAX_RERANK_ITEMS,
    MAX_RETRIEVE,
    Channel,
    Hit,
    RequestError,
    SearchResult,
    StageReport,
)
from search.rules import NO_RULES, Rules
from server.filters import facet_message, facet_records, filter_record
from server.items import item_message, item_record
from server.pages import read_page_token, write_page_token
from server.rules import adjustment_message, report_message, rules_record
from shortlist.v1 import (
    catalog_service_pb2,
    channel_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    stage_report_pb2,
    vector_pb2,
)

DEFAULT_PAGE_SIZE = 10
DEFAULT_RETRIEVE = 100
MAX_BATCH_GET = 100

_CHANNELS = {
    channel_pb2.CHANNEL_DENSE: Channel.DENSE,
    channel_pb2.CHANNEL_LEXICAL: Channel.LEXICAL,
}


# ---- SearchService


@dataclass(frozen=True)
class Search:
    """One search as the engine takes it."""

    query: str
    limit: int  # results on the page
    offset: int  # results on the pages before it
    recall_depth: int | None  # None: the engine's default
    rerank_depth: int | None  # None: the engine's default
    bundle_id: str  # the bundle that the page token fits
    filter: Filter | None = None
    facets: tuple[Facet, ...] = ()
    max_per_group: int = 0  # 0: any number
    rules: Rules = NO_RULES

    @property
    def token_parts(self) -> tuple[str | int | None, ...]:
        """What a page token is bound to: all but the page."""
        depths = (self.recall_depth, self.rerank_depth)
        selection = (
            repr(self.filter),
            repr(self.facets),
            self.max_per_group,
            repr(self.rules),
        )
        return (self.query, *depths, self.bundle_id, *selection)


def search_record(request: search_service_pb2.SearchRequest, bundle_id: str) -> Search:
    """Returns the search that a request asks of a bundle; raises RequestError."""
    recall_depth = _size(request.recall_depth, "recall_depth", MAX_DEPTH) or None
    rerank_depth = (
        _size(request.rerank_depth, "rerank_depth", MAX_RERANK_ITEMS)
        if request.HasField("rerank_depth")
        else None
    )
    limit = _size(request.page_size, "page_size", MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE
    filter = request_filter(request)
    if filter is None or request.query.strip():  # with a filter alone it browses
        _check_query(request.query, "query")
    search = Search(
        request.query,
        limit,
        0,
        recall_depth,
        rerank_depth,
        bundle_id,
        filter,
        facet_records(request.facets),
        _size(request.max_per_group, "max_per_group", MAX_PAGE_SIZE),
        rules_record(request.rules),
    )
    if not request.page_token:
        return search
    return replace(search, offset=read_page_token(request.page_token, *search.token_parts))


def search_response(search: Search, result: SearchResult) -> search_service_pb2.SearchResponse:
    """Returns the response of a search."""
    end = search.offset + len(result.hits)
    goes_on = result.has_more and result.hits and end < MAX_OFFSET
    return search_service_pb2.SearchResponse(
        results=[
            search_service_pb2.SearchResult(
                item=item_message(hit.item) if hit.item else None,
                item_id=hit.item_id,
                rank=rank,
                score=hit.score,
                stage1_score=hit.stage1_score,
                lexical_score=hit.lexical_score,
                rerank_score=hit.rerank_score,
                recalled_by=_recalled_messages(hit),
                base_score=hit.base_score,
                adjustments=map(adjustment_message, hit.adjustments),
            )
            for rank, hit in enumerate(result.hits, start=search.offset + 1)
        ],
        next_page_token=write_page_token(end, *search.token_parts) if goes_on else "",
        stages=_stage_messages(result.stages),
        recalled_count=result.recalled,
        reranked_count=result.reranked,
        bundle_id=search.bundle_id,
        facets=[facet_message(counts) for counts in result.facets],
        matched_count=result.matched,
        rules=map(report_message, result.rules),
    )


# ---- RetrievalService


def retrieve_query(
    request: retrieval_service_pb2.RetrieveRequest, dim: int
) -> str | Float32[np.ndarray, "dim"]:
    """Returns the query text, or the query's unit vector; raises RequestError."""
    match request.WhichOneof("input"):
        case "query":
            _check_query(request.query, "query")
            return request.query
        case "vector":
            return _vector(request.vector, dim)
        case _:
            raise RequestError("input", "needs a query or a vector")


def retrieve_limit(request: retrieval_service_pb2.RetrieveRequest) -> int:
    """Returns how many hits a request asks for; raises RequestError."""
    return _size(request.page_size, "page_size", MAX_RETRIEVE) or DEFAULT_RETRIEVE


def retrieve_channels(request: retrieval_service_pb2.RetrieveRequest) -> frozenset[Channel]:
    """Returns the channels that a request asks for; raises RequestError."""
    for place, number in enumerate(request.channels):
        if number not in _CHANNELS:
            raise RequestError(f"channels[{place}]", "is unspecified or unknown")
    channels = frozenset(_CHANNELS[number] for number in request.channels)
    if request.WhichOneof("input") == "vector" and channels - {Channel.DENSE}:
        raise RequestError("channels", "must be CHANNEL_DENSE alone for a vector")
    return channels or frozenset(Channel)


def retrieve_response(
    result: SearchResult, bundle_id: str
) -> retrieval_service_pb2.RetrieveResponse:
    """Returns the response of a retrieval."""
    return retrieval_service_pb2.RetrieveResponse(
        results=[
            retrieval_service_pb2.RetrieveResult(
                item_id=hit.item_id,
                score=hit.score,
                stage1_score=hit.stage1_score,
                recalled_by=_recalled_messages(hit),
            )
            for hit in result.hits
        ],
        stages=_stage_messages(result.stages),
        bundle_id=bundle_id,
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
                _check_query(given.query, f"{path}.query")
                inputs.append(given.query)
            case "item":
                inputs.append(item_record(given.item, f"{path}.item", needs_id=False))
            case _:
                raise RequestError(path, "needs a query or an item")
    return inputs


def embed_response(
    vectors: Float32[np.ndarray, "inputs dim"], bundle_id: str
) -> retrieval_service_pb2.EmbedResponse:
    """Returns the response of an encoding."""
    return retrieval_service_pb2.EmbedResponse(
        embeddings=[vector_pb2.Vector(values=vector.tolist()) for vector in vectors],
        bundle_id=bundle_id,
    )


# ---- RerankService


def rerank_candidates(request: rerank_service_pb2.RerankRequest) -> list[str | Item]:
    """Returns the candidates, as ids (str) or items; raises RequestError."""
    if not 1 <= len(request.candidates) <= MAX_RERANK_ITEMS:
        raise RequestError("candidates", f"must be from 1 to {MAX_RERANK_ITEMS}")
    _check_query(request.query, "query")
    candidates: list[str | Item] = []
    seen: set[str] = set()
    for place, given in enumerate(request.candidates):
        path = f"candidates[{place}]"
        match given.WhichOneof("candidate"):
            case "item_id":
                item_id = given.item_id
                if not item_id:
                    raise RequestError(f"{path}.item_id", "must not be empty")
                candidates.append(item_id)
            case "item":
                item_id = given.item.item_id
                candidates.append(item_record(given.item, f"{path}.item", needs_id=True))
            case _:
                raise RequestError(path, "needs an item_id or an item")
        if item_id in seen:
            raise RequestError(path, "has the id of an earlier candidate")
        seen.add(item_id)
    return candidates


def rerank_response(result: SearchResult, bundle_id: str) -> rerank_service_pb2.RerankResponse:
    """Returns the response of a reranking."""
    return rerank_service_pb2.RerankResponse(
        results=[
            rerank_service_pb2.RerankResult(
                item_id=hit.item_id,
                score=hit.score,
                stage1_score=hit.stage1_score,
                lexical_score=hit.lexical_score,
            )
            for hit in result.hits
        ],
        stages=_stage_messages(result.stages),
        bundle_id=bundle_id,
    )


# ---- CatalogService


def get_item_id(request: catalog_service_pb2.GetItemRequest) -> str:
    """Returns the id asked for; raises RequestError."""
    if not request.item_id:
        raise RequestError("item_id", "must not be empty")
    return request.item_id


def batch_item_ids(request: catalog_service_pb2.BatchGetItemsRequest) -> list[str]:
    """Returns the ids asked for, each once, at its first place; raises RequestError."""
    if not 1 <= len(request.item_ids) <= MAX_BATCH_GET:
        raise RequestError("item_ids", f"must be from 1 to {MAX_BATCH_GET}")
    for place, item_id in enumerate(request.item_ids):
        if not item_id:
            raise RequestError(f"item_ids[{place}]", "must not be empty")
    return list(dict.fromkeys(request.item_ids))


# ---- shared


def request_filter(
    request: search_service_pb2.SearchRequest | retrieval_service_pb2.RetrieveRequest,
) -> Filter | None:
    """Returns the filter of a request, None without one; raises RequestError."""
    return filter_record(request.filter, "filter") if request.HasField("filter") else None


def _size(value: int, field: str, maximum: int) -> int:
    if value < 0:
        raise RequestError(field, "must not be negative")
    return min(value, maximum)


def _check_query(query: str, field: str) -> None:
    if not query.strip():
        raise RequestError(field, "must not be empty")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise RequestError(field, f"has more than {MAX_QUERY_CHARACTERS:,} characters")


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


def _recalled_messages(hit: Hit) -> list[channel_pb2.Recalled]:
    return [
        channel_pb2.Recalled(channel=number, rank=hit.channels[channel])
        for number, channel in _CHANNELS.items()
        if channel in hit.channels
    ]


def _stage_messages(stages: Sequence[StageReport]) -> list[stage_report_pb2.StageReport]:
    messages = []
    for stage in stages:
        message = stage_report_pb2.StageReport(
            name=stage.name,
            candidate_count=stage.candidates,
            cached_count=stage.cached,
            plan=stage.plan,
        )
        message.duration.FromNanoseconds(round(stage.seconds * 1e9))
        messages.append(message)
    return messages
