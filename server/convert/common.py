"""Conversions that several services share.

The engine's request classes check all values. The converters refuse only messages that have no
counterpart in Python: a oneof without a value, an unknown scope of a facet, a date that does not
exist, a filter of too many bytes, and a page token that does not fit. Both raise RequestError with
the path of the field in the protobuf message.
"""

from collections.abc import Sequence

from catalog.filters import Filter
from search.result import Degradation, Hit, SearchResult, StageReport
from server.convert.filters import filter_record
from server.convert.people import signal_numbers
from shortlist.v1 import (
    channel_pb2,
    coverage_pb2,
    recommend_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    stage_report_pb2,
)

# The engine's name of each channel in the contract, such as "dense" for CHANNEL_DENSE.
CHANNEL_NAMES = {
    value: name.removeprefix("CHANNEL_").lower()
    for name, value in channel_pb2.Channel.items()
    if value != channel_pb2.CHANNEL_UNSPECIFIED
}

_DEGRADATIONS = {
    Degradation.RERANK_SHORTENED: coverage_pb2.DEGRADATION_RERANK_SHORTENED,
    Degradation.RERANK_SKIPPED: coverage_pb2.DEGRADATION_RERANK_SKIPPED,
    Degradation.RERANK_UNAVAILABLE: coverage_pb2.DEGRADATION_RERANK_UNAVAILABLE,
    Degradation.FACETS_SKIPPED: coverage_pb2.DEGRADATION_FACETS_SKIPPED,
    Degradation.USER_SKIPPED: coverage_pb2.DEGRADATION_USER_SKIPPED,
}

COMPLETE = coverage_pb2.Coverage()  # for answers from which nothing was left out


def filter_of(
    message: search_service_pb2.SearchRequest
    | retrieval_service_pb2.RetrieveRequest
    | retrieval_service_pb2.SimilarItemsRequest
    | recommend_service_pb2.RecommendRequest
    | recommend_service_pb2.RecommendServiceSimilarItemsRequest
    | recommend_service_pb2.ComplementaryItemsRequest
    | recommend_service_pb2.GetQuestionsRequest,
) -> Filter | None:
    """Convert a request's filter (None: no filter); raise RequestError for a malformed filter."""
    return filter_record(message.filter, "filter") if message.HasField("filter") else None


def recalled_messages(hit: Hit) -> list[channel_pb2.Recalled]:
    """Return a message with the rank and the score for each channel that recalled the hit."""
    return [
        channel_pb2.Recalled(
            channel=number, rank=hit.channel_ranks[name], score=hit.channel_scores.get(name)
        )
        for number, name in CHANNEL_NAMES.items()
        if name in hit.channel_ranks
    ]


def coverage_message(result: SearchResult) -> coverage_pb2.Coverage:
    """Return a message that says which work was left out of an answer."""
    return coverage_pb2.Coverage(
        degradations=[_DEGRADATIONS[kind] for kind in result.degradations],
        rerank_target_count=result.rerank_target,
        nothing_fits=result.nothing_fits,
        signals=signal_numbers(result.signals),
        missing_signals=signal_numbers(result.missing),
    )


def stage_messages(stages: Sequence[StageReport]) -> list[stage_report_pb2.StageReport]:
    """Convert the reports of a call's stages to messages."""
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
