"""Convert between RerankService's messages and the engine's records."""

from base.errors import RequestError
from catalog.items import Item
from search.request import DENSE, LEXICAL, RerankRequest
from search.result import SearchResult
from server.convert.common import coverage_message, stage_messages
from server.convert.items import item_record
from shortlist.v1 import rerank_service_pb2


def rerank_request(
    message: rerank_service_pb2.RerankRequest, deadline: float | None
) -> RerankRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    candidates: list[str | Item] = []
    for index, candidate in enumerate(message.candidates):
        path = f"candidates[{index}]"
        match candidate.WhichOneof("candidate"):
            case "item_id":
                candidates.append(candidate.item_id)
            case "item":
                candidates.append(item_record(candidate.item, f"{path}.item"))
            case _:
                raise RequestError(path, "is empty; give an item_id or an item")
    return RerankRequest(message.query, candidates, deadline=deadline)


def rerank_response(result: SearchResult, bundle_id: str) -> rerank_service_pb2.RerankResponse:
    """Convert the engine's result to a response."""
    return rerank_service_pb2.RerankResponse(
        results=[
            rerank_service_pb2.RerankResult(
                item_id=hit.item_id,
                score=hit.score,
                dense_score=hit.channel_scores.get(DENSE),
                lexical_score=hit.channel_scores.get(LEXICAL),
            )
            for hit in result.hits
        ],
        stages=stage_messages(result.stages),
        bundle_id=bundle_id,
        coverage=coverage_message(result),
    )
