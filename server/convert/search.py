"""SearchService's messages and the engine's records."""

from dataclasses import dataclass, replace

from catalog.facets import Facet
from catalog.filters import Filter
from search.result import (
    MAX_DEPTH,
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_RERANK_ITEMS,
    Degradation,
    SearchResult,
)
from search.rules import NO_RULES, Rules
from server.convert.common import (
    check_query,
    coverage_message,
    recalled_messages,
    request_filter,
    size,
    stage_messages,
)
from server.convert.filters import facet_message, facet_records
from server.convert.items import item_fields, item_message
from server.convert.page_tokens import Page, read_page_token, write_page_token
from server.convert.rules import adjustment_message, report_message, rules_record
from shortlist.v1 import search_service_pb2

DEFAULT_PAGE_SIZE = 10

_SHORT = frozenset({Degradation.RERANK_SHORTENED, Degradation.RERANK_SKIPPED})


@dataclass(frozen=True)
class Search:
    """One search as the engine takes it."""

    query: str
    limit: int  # results on the page
    offset: int  # results on the pages before it
    recall_depth: int | None  # None: the engine's default
    rerank_depth: int | None  # None: the engine's default
    bundle_id: str  # the bundle that answers
    filter: Filter | None = None
    facets: tuple[Facet, ...] = ()
    max_per_group: int = 0  # 0: any number
    rules: Rules = NO_RULES
    fields: frozenset[str] | None = None  # of each item to return; None: all
    reranked_before: int | None = None  # for the pages before, where time was short
    root: str | None = None  # the bundle that the one that answers was compacted from, if it was

    @property
    def paged(self) -> str:
        """The bundle that page tokens are bound to: compaction lets them go on, as writes do."""
        return self.root or self.bundle_id

    @property
    def token_parts(self) -> tuple[str | int | None, ...]:
        """What a page token is bound to beside the bundle: all but the page."""
        depths = (self.recall_depth, self.rerank_depth)
        chosen = (repr(self.filter), repr(self.facets), self.max_per_group, repr(self.rules))
        return (self.query, *depths, *chosen)


def search_record(
    request: search_service_pb2.SearchRequest, bundle_id: str, root: str | None = None
) -> Search:
    """Returns the search that a request asks of a bundle; raises RequestError.

    Args:
        request: The request.
        bundle_id: The bundle.
        root: The bundle that it was compacted from; None where it was not.
    """
    recall_depth = size(request.recall_depth, "recall_depth", MAX_DEPTH) or None
    rerank_depth = (
        size(request.rerank_depth, "rerank_depth", MAX_RERANK_ITEMS)
        if request.HasField("rerank_depth")
        else None
    )
    limit = size(request.page_size, "page_size", MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE
    filter = request_filter(request)
    if filter is None or request.query.strip():  # with a filter alone it browses
        check_query(request.query, "query")
    search = Search(
        request.query,
        limit,
        0,
        recall_depth,
        rerank_depth,
        bundle_id,
        filter,
        facet_records(request.facets),
        size(request.max_per_group, "max_per_group", MAX_PAGE_SIZE),
        rules_record(request.rules),
        item_fields(request.item_fields, "item_fields"),
        root=root,
    )
    if not request.page_token:
        return search
    page = read_page_token(request.page_token, search.paged, *search.token_parts)
    return replace(search, offset=page.offset, reranked_before=page.reranked)


def as_before(search: Search, result: SearchResult) -> SearchResult:
    """Returns a page's result; one reranked as little as the pages before it says so like them."""
    if search.reranked_before is None or _SHORT.intersection(result.left_out):
        return result
    some = Degradation.RERANK_SHORTENED
    kind = some if search.reranked_before else Degradation.RERANK_SKIPPED
    return replace(result, left_out=(kind, *result.left_out))


def next_page_token(search: Search, result: SearchResult) -> str:
    """Returns the token of the page behind a result's; "" where there is none."""
    end = search.offset + len(result.hits)
    if not (result.has_more and result.hits and end < MAX_OFFSET):
        return ""
    short = _SHORT.intersection(result.left_out)
    page = Page(end, result.reranked if short else None)
    return write_page_token(page, search.paged, *search.token_parts)


def search_response(search: Search, result: SearchResult) -> search_service_pb2.SearchResponse:
    """Returns the response of a search."""
    return search_service_pb2.SearchResponse(
        results=[
            search_service_pb2.SearchResult(
                item=item_message(hit.item, search.fields) if hit.item else None,
                item_id=hit.item_id,
                rank=rank,
                score=hit.score,
                dense_score=hit.dense_score,
                lexical_score=hit.lexical_score,
                recall_score=hit.recall_score,
                rerank_score=hit.rerank_score,
                recalled_by=recalled_messages(hit),
                base_score=hit.base_score,
                adjustments=map(adjustment_message, hit.adjustments),
            )
            for rank, hit in enumerate(result.hits, start=search.offset + 1)
        ],
        next_page_token=next_page_token(search, result),
        stages=stage_messages(result.stages),
        recalled_count=result.recalled,
        reranked_count=result.reranked,
        bundle_id=search.bundle_id,
        facets=[facet_message(counts) for counts in result.facets],
        matched_count=result.matched,
        rules=map(report_message, result.rules),
        coverage=coverage_message(result),
    )


def stream_search_response(
    search: Search, result: SearchResult, *, last: bool
) -> search_service_pb2.StreamSearchResponse:
    """Returns one response of a search that answers as it goes."""
    response = search_response(search, result)
    if not last:
        response.next_page_token = ""  # how deep the next page is to be reranked is not known yet
    return search_service_pb2.StreamSearchResponse(
        phase=search_service_pb2.SEARCH_PHASE_RERANKED
        if result.reranked
        else search_service_pb2.SEARCH_PHASE_RECALLED,
        last=last,
        search=response,
    )
