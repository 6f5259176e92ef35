"""SearchService's messages and the engine's records."""

from dataclasses import dataclass, replace

from catalog.facets import Facet
from catalog.filters import Filter
from search.records import (
    MAX_DEPTH,
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_RERANK_ITEMS,
    SearchResult,
)
from server.converters import (
    check_query,
    recalled_messages,
    request_filter,
    size,
    stage_messages,
)
from server.filters import facet_message, facet_records
from server.items import item_message
from server.pages import read_page_token, write_page_token
from shortlist.v1 import search_service_pb2

DEFAULT_PAGE_SIZE = 10


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

    @property
    def token_parts(self) -> tuple[str | int | None, ...]:
        """What a page token is bound to: all but the page."""
        depths = (self.recall_depth, self.rerank_depth)
        selection = (repr(self.filter), repr(self.facets), self.max_per_group)
        return (self.query, *depths, self.bundle_id, *selection)


def search_record(request: search_service_pb2.SearchRequest, bundle_id: str) -> Search:
    """Returns the search that a request asks of a bundle; raises RequestError."""
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
                recalled_by=recalled_messages(hit),
            )
            for rank, hit in enumerate(result.hits, start=search.offset + 1)
        ],
        next_page_token=write_page_token(end, *search.token_parts) if goes_on else "",
        stages=stage_messages(result.stages),
        recalled_count=result.recalled,
        reranked_count=result.reranked,
        bundle_id=search.bundle_id,
        facets=[facet_message(counts) for counts in result.facets],
        matched_count=result.matched,
    )
