"""Convert between SearchService's messages and the engine's records."""

from lexical.highlights import Highlight
from search.bundle import Manifest
from search.config import MAX_DEPTH, MAX_PER_GROUP, MAX_RERANK_ITEMS
from search.request import DENSE, LEXICAL, MAX_OFFSET, MAX_PAGE_SIZE, SearchRequest
from search.result import Degradation, SearchResult
from server.convert.common import (
    coverage_message,
    filter_of,
    recalled_messages,
    stage_messages,
)
from server.convert.exploration import exploration_record
from server.convert.filters import facet_message, facet_records
from server.convert.items import item_message
from server.convert.page_tokens import Page, PageToken, write_page_token
from server.convert.people import context_record, person_record
from server.convert.rules import adjustment_message, report_message, rules_record
from server.convert.understanding import interpretation_message, understanding_record
from shortlist.v1 import search_service_pb2

# If a page has one of these degradations, later pages rerank only the candidates that this page
# reranked.
_RERANK_CUT = frozenset({Degradation.RERANK_SHORTENED, Degradation.RERANK_SKIPPED})


def search_request(
    message: search_service_pb2.SearchRequest, manifest: Manifest, deadline: float | None
) -> SearchRequest:
    """Convert a message to an engine request.

    A size above its limit is reduced to the limit, as the contract says.

    Args:
        message: The request.
        manifest: The manifest of the bundle that answers.
        deadline: The deadline of the call, in seconds of `time.monotonic()`; None: no deadline.

    Raises:
        RequestError: a field is invalid, or the page token belongs to another search or bundle.
    """
    token = PageToken.read(message.page_token) if message.page_token else None
    page = token.page if token else Page(0)
    rerank_depth = None
    if message.HasField("rerank_depth"):
        rerank_depth = min(message.rerank_depth, MAX_RERANK_ITEMS)
    min_relevance = message.min_relevance if message.HasField("min_relevance") else None
    request = SearchRequest(
        message.query,
        person=person_record(message.person) if message.HasField("person") else None,
        context=context_record(message.context),
        filter=filter_of(message),
        facets=facet_records(message.facets),
        rules=rules_record(message.rules),
        language=message.language,
        understanding=understanding_record(message.understanding),
        max_per_group=min(message.max_per_group, MAX_PER_GROUP),
        show_variants=message.show_variants,
        ignore_stock=message.ignore_stock,
        order_by=message.order_by,
        exploration=exploration_record(message, page),
        highlight=message.highlight,
        recall_depth=min(message.recall_depth, MAX_DEPTH) or None,
        rerank_depth=rerank_depth,
        rerank_limit=page.reranked,
        active_promotions=page.promotions if token else None,
        min_relevance=min_relevance,
        page_size=min(message.page_size, MAX_PAGE_SIZE) or SearchRequest.page_size,
        offset=page.offset,
        deadline=deadline,
    )
    if token:
        token.check(manifest, request)
    return request


def search_response(
    request: SearchRequest,
    result: SearchResult,
    manifest: Manifest,
    fields: frozenset[str] | None = None,
    request_id: str = "",
) -> search_service_pb2.SearchResponse:
    """Convert a result of a call to a response, with the given item fields (None: all fields)."""
    return search_service_pb2.SearchResponse(
        results=[
            search_service_pb2.SearchResult(
                item=item_message(hit.item, fields) if hit.item else None,
                item_id=hit.item_id,
                rank=rank,
                score=hit.score,
                dense_score=hit.channel_scores.get(DENSE),
                lexical_score=hit.channel_scores.get(LEXICAL),
                recall_score=hit.recall_score,
                rerank_score=hit.rerank_score,
                recalled_by=recalled_messages(hit),
                base_score=hit.base_score,
                adjustments=map(adjustment_message, hit.adjustments),
                relevance=hit.relevance,
                highlights=map(_highlight_message, hit.highlights),
                variant_count=hit.variant_count,
                guessed=hit.guessed,
                promotion_id=hit.promotion_id,
                exploring=hit.exploring,
                propensity=hit.propensity,
            )
            for rank, hit in enumerate(result.hits, start=request.offset + 1)
        ],
        next_page_token=next_page_token(request, result, manifest),
        stages=stage_messages(result.stages),
        recalled_count=result.recalled,
        reranked_count=result.reranked,
        bundle_id=manifest.bundle_id,
        facets=[facet_message(counts) for counts in result.facets],
        matched_count=result.matched,
        rules=map(report_message, result.rules),
        interpretation=interpretation_message(result.interpretation),
        relevant_count=result.relevant,
        request_id=request_id,
        coverage=coverage_message(result),
    )


def stream_search_response(
    response: search_service_pb2.SearchResponse, *, last: bool
) -> search_service_pb2.StreamSearchResponse:
    """Return a response of StreamSearch that contains a response of Search."""
    if not last:
        # The token holds the number of reranked candidates, which is not known yet.
        response.next_page_token = ""
    return search_service_pb2.StreamSearchResponse(
        phase=search_service_pb2.SEARCH_PHASE_RERANKED
        if response.reranked_count
        else search_service_pb2.SEARCH_PHASE_RECALLED,
        last=last,
        search=response,
    )


def _highlight_message(highlight: Highlight) -> search_service_pb2.Highlight:
    return search_service_pb2.Highlight(
        field=highlight.field,
        snippet=highlight.snippet,
        spans=[search_service_pb2.Span(start=start, end=end) for start, end in highlight.spans],
    )


def next_page_token(request: SearchRequest, result: SearchResult, manifest: Manifest) -> str:
    """Return the token of the next page; "" if there is no next page."""
    end = request.offset + len(result.hits)
    if not (result.has_more and result.hits and end < MAX_OFFSET):
        return ""
    is_short = _RERANK_CUT.intersection(result.degradations)
    seed = 0 if request.exploration is None else request.exploration.seed
    reranked = result.reranked if is_short else None
    page = Page(end, reranked, seed, result.active_promotions or 0)
    return write_page_token(page, manifest, request)
