"""Convert between RecommendService's messages and the engine's records."""

from typing import TypeAlias, TypeVar

from base.errors import RequestError
from search.bundle import Manifest
from search.config import MAX_PER_GROUP
from search.exploration.request import Exploration
from search.people.person import Recommending, Surface
from search.request import MAX_PAGE_SIZE, SearchRequest
from search.result import Hit, SearchResult
from server.convert.common import (
    coverage_message,
    filter_of,
    recalled_messages,
    stage_messages,
)
from server.convert.exploration import exploration_record
from server.convert.filters import facet_message, facet_records
from server.convert.items import item_message
from server.convert.page_tokens import Page, PageToken
from server.convert.people import context_record, person_record, reason_messages
from server.convert.rules import adjustment_message, report_message, rules_record
from server.convert.search import next_page_token
from shortlist.v1 import recommend_service_pb2

_SURFACES = {
    recommend_service_pb2.SURFACE_UNSPECIFIED: Surface.HOME,
    recommend_service_pb2.SURFACE_HOME: Surface.HOME,
    recommend_service_pb2.SURFACE_PRODUCT: Surface.PRODUCT,
    recommend_service_pb2.SURFACE_BASKET: Surface.BASKET,
}
RequestMessage: TypeAlias = (
    recommend_service_pb2.RecommendRequest
    | recommend_service_pb2.RecommendServiceSimilarItemsRequest
    | recommend_service_pb2.ComplementaryItemsRequest
)
Response = TypeVar(
    "Response",
    recommend_service_pb2.RecommendResponse,
    recommend_service_pb2.RecommendServiceSimilarItemsResponse,
    recommend_service_pb2.ComplementaryItemsResponse,
)


def recommend_request(
    message: RequestMessage, manifest: Manifest, deadline: float | None
) -> SearchRequest:
    """Convert a request for recommendations to an engine request.

    Args:
        message: The request.
        manifest: The manifest of the bundle that answers.
        deadline: The deadline of the call, in seconds of `time.monotonic()`; None: no deadline.

    Raises:
        RequestError: a field is invalid, or the page token belongs to another list or bundle.
    """
    token = PageToken.read(message.page_token) if message.page_token else None
    page = token.page if token else Page(0)
    request = SearchRequest(
        recommending=_recommending(message),
        filter=filter_of(message),
        facets=facet_records(message.facets),
        rules=rules_record(message.rules),
        max_per_group=min(message.max_per_group, MAX_PER_GROUP),
        ignore_stock=message.ignore_stock,
        page_size=min(message.page_size, MAX_PAGE_SIZE) or SearchRequest.page_size,
        offset=page.offset,
        active_promotions=page.promotions if token else None,
        deadline=deadline,
        person=person_record(message.person) if message.HasField("person") else None,
        context=_context(message),
        exploration=_exploration(message, page),
    )
    if token:
        token.check(manifest, request)
    return request


def recommend_response(
    kind: type[Response],
    request: SearchRequest,
    result: SearchResult,
    manifest: Manifest,
    fields: frozenset[str] | None = None,
    request_id: str = "",
) -> Response:
    """Convert a result of a call to a response, with the given item fields (None: all fields)."""
    return kind(
        results=[
            _recommendation(hit, rank, fields)
            for rank, hit in enumerate(result.hits, start=request.offset + 1)
        ],
        next_page_token=next_page_token(request, result, manifest),
        facets=[facet_message(counts) for counts in result.facets],
        rules=map(report_message, result.rules),
        stages=stage_messages(result.stages),
        bundle_id=manifest.bundle_id,
        request_id=request_id,
        coverage=coverage_message(result),
    )


def _context(message: RequestMessage) -> dict[str, str]:
    """Return the context of Recommend; the other methods have none."""
    if isinstance(message, recommend_service_pb2.RecommendRequest):
        return context_record(message.context)
    return {}


def _exploration(message: RequestMessage, page: Page) -> Exploration | None:
    """Return the exploration of Recommend; the other methods have none."""
    if isinstance(message, recommend_service_pb2.RecommendRequest):
        return exploration_record(message, page)
    return None


def _recommendation(
    hit: Hit, rank: int, fields: frozenset[str] | None
) -> recommend_service_pb2.Recommendation:
    return recommend_service_pb2.Recommendation(
        item=item_message(hit.item, fields) if hit.item else None,
        item_id=hit.item_id,
        rank=rank,
        score=hit.score,
        reasons=reason_messages(hit.reasons),
        recalled_by=recalled_messages(hit),
        adjustments=map(adjustment_message, hit.adjustments),
        promotion_id=hit.promotion_id,
        exploring=hit.exploring,
        propensity=hit.propensity,
    )


def _recommending(message: RequestMessage) -> Recommending:
    match message:
        case recommend_service_pb2.RecommendRequest():
            if message.surface not in _SURFACES:
                known = "SURFACE_HOME, SURFACE_PRODUCT, SURFACE_BASKET"
                raise RequestError("surface", f"is unknown; give {known}")
            surface, item_ids = _SURFACES[message.surface], tuple(message.item_ids)
        case recommend_service_pb2.RecommendServiceSimilarItemsRequest():
            surface, item_ids = Surface.SIMILAR, (message.item_id,)
        case _:
            surface, item_ids = Surface.COMPLEMENTARY, tuple(message.item_ids)
    return Recommending(
        surface,
        item_ids,
        bought_within_days=message.bought_within_days,
        seen_within_days=message.seen_within_days,
    )
