"""Between the contract's messages and the engine's records, both ways: what services share.

Each of the larger services has a room of its own beside this one (`search_messages`, ...). Whatever
a message can get wrong by its shape is found in them and raised as RequestError, with the path of
the field in the message. The rules are those of the comments in `shortlist/v1`.
"""

from collections.abc import Sequence

from catalog.filters import Filter
from search.result import (
    MAX_QUERY_CHARACTERS,
    Channel,
    Degradation,
    Hit,
    RequestError,
    SearchResult,
    StageReport,
)
from server.convert.filters import filter_record
from shortlist.v1 import (
    channel_pb2,
    coverage_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    stage_report_pb2,
)

CHANNELS = {
    channel_pb2.CHANNEL_DENSE: Channel.DENSE,
    channel_pb2.CHANNEL_LEXICAL: Channel.LEXICAL,
}

_DEGRADATIONS = {
    Degradation.RERANK_SHORTENED: coverage_pb2.DEGRADATION_RERANK_SHORTENED,
    Degradation.RERANK_SKIPPED: coverage_pb2.DEGRADATION_RERANK_SKIPPED,
    Degradation.RERANK_UNAVAILABLE: coverage_pb2.DEGRADATION_RERANK_UNAVAILABLE,
    Degradation.FACETS_SKIPPED: coverage_pb2.DEGRADATION_FACETS_SKIPPED,
}

WHOLE = coverage_pb2.Coverage()  # of an answer of which no part can be left out


def request_filter(
    request: search_service_pb2.SearchRequest
    | retrieval_service_pb2.RetrieveRequest
    | retrieval_service_pb2.SimilarItemsRequest,
) -> Filter | None:
    """Returns the filter of a request, None without one; raises RequestError."""
    return filter_record(request.filter, "filter") if request.HasField("filter") else None


def size(value: int, field: str, maximum: int) -> int:
    """Returns a count, no larger than its maximum; raises RequestError when it is negative."""
    if value < 0:
        raise RequestError(field, "must not be negative")
    return min(value, maximum)


def check_query(query: str, field: str) -> None:
    """Raises RequestError unless a query is one to search for."""
    if not query.strip():
        raise RequestError(field, "must not be empty")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise RequestError(field, f"has more than {MAX_QUERY_CHARACTERS:,} characters")


def recalled_messages(hit: Hit) -> list[channel_pb2.Recalled]:
    """Returns which channels recalled a hit, and at what rank."""
    return [
        channel_pb2.Recalled(channel=number, rank=hit.channels[channel])
        for number, channel in CHANNELS.items()
        if channel in hit.channels
    ]


def coverage_message(result: SearchResult) -> coverage_pb2.Coverage:
    """Returns what was left out of an answer."""
    return coverage_pb2.Coverage(
        degradations=[_DEGRADATIONS[kind] for kind in result.left_out],
        rerank_target_count=result.to_rerank,
    )


def stage_messages(stages: Sequence[StageReport]) -> list[stage_report_pb2.StageReport]:
    """Returns what the stages of a call did."""
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
