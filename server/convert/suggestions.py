"""Convert between SuggestionService's messages and the engine's records."""

from search.request import MAX_SUGGESTIONS, SuggestRequest
from search.result import Suggestions
from server.convert.common import COMPLETE, stage_messages
from shortlist.v1 import suggestion_service_pb2


def suggest_request(
    message: suggestion_service_pb2.SuggestRequest, deadline: float | None
) -> SuggestRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    return SuggestRequest(
        message.prefix,
        language=message.language,
        kinds=tuple(message.kinds) or SuggestRequest.kinds,
        page_size=min(message.page_size, MAX_SUGGESTIONS) or SuggestRequest.page_size,
        deadline=deadline,
    )


def suggest_response(
    suggestions: Suggestions, bundle_id: str
) -> suggestion_service_pb2.SuggestResponse:
    """Convert suggestions to a response."""
    return suggestion_service_pb2.SuggestResponse(
        suggestions=[
            suggestion_service_pb2.Suggestion(
                text=suggested.text,
                kind=suggestion_service_pb2.SuggestionKind.ValueType(suggested.kind),
                score=suggested.score,
                category=suggested.category,
                brand=suggested.brand,
                item_id=suggested.item_id,
                matched_spans=[
                    suggestion_service_pb2.MatchedSpan(start=start, end=end)
                    for start, end in suggested.matched
                ],
            )
            for suggested in suggestions.suggestions
        ],
        corrected_prefix=suggestions.corrected_prefix,
        stages=stage_messages(suggestions.stages),
        bundle_id=bundle_id,
        coverage=COMPLETE,
    )
