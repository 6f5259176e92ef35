"""RerankService's messages and the engine's records."""

from catalog.schema import Item
from search.result import MAX_RERANK_ITEMS, RequestError, SearchResult
from server.convert.common import check_query, coverage_message, stage_messages
from server.convert.items import item_record
from shortlist.v1 import rerank_service_pb2


def rerank_candidates(request: rerank_service_pb2.RerankRequest) -> list[str | Item]:
    """Returns the candidates, as ids (str) or items; raises RequestError."""
    if not 1 <= len(request.candidates) <= MAX_RERANK_ITEMS:
        raise RequestError("candidates", f"must be from 1 to {MAX_RERANK_ITEMS}")
    check_query(request.query, "query")
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
                dense_score=hit.dense_score,
                lexical_score=hit.lexical_score,
            )
            for hit in result.hits
        ],
        stages=stage_messages(result.stages),
        bundle_id=bundle_id,
        coverage=coverage_message(result),
    )
