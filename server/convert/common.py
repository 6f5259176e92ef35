"""Conversions that several services share.

A conversion checks only the shape of a message: that a oneof is set, an enum value is known, and
the message is not too large. The engine's requests check the values. Both raise RequestError with
the path of the field in the message.
"""

from collections.abc import Sequence

from catalog.filters import Filter
from search.result import Degradation, Hit, SearchResult, StageReport
from server.convert.filters import filter_record
from shortlist.v1 import (
    channel_pb2,
    coverage_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    stage_report_pb2,
)

# The names of channels by their values in the contract: CHANNEL_DENSE is "dense".
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
}

COMPLETE = coverage_pb2.Coverage()  # the coverage of a complete answer


def filter_of(
    message: search_service_pb2.SearchRequest
    | retrieval_service_pb2.RetrieveRequest
    | retrieval_service_pb2.SimilarItemsRequest,
) -> Filter | None:
    """Return the filter of a request (None: no filter); raise RequestError if it is malformed."""
    return filter_record(message.filter, "filter") if message.HasField("filter") else None


def recalled_messages(hit: Hit) -> list[channel_pb2.Recalled]:
    """Return the channels that recalled a hit, each with its rank."""
    return [
        channel_pb2.Recalled(channel=number, rank=hit.channels[name])
        for number, name in CHANNEL_NAMES.items()
        if name in hit.channels
    ]


def coverage_message(result: SearchResult) -> coverage_pb2.Coverage:
    """Return the message that says what an answer leaves out."""
    return coverage_pb2.Coverage(
        degradations=[_DEGRADATIONS[kind] for kind in result.degradations],
        rerank_target_count=result.rerank_target,
    )


def stage_messages(stages: Sequence[StageReport]) -> list[stage_report_pb2.StageReport]:
    """Return the messages of the stages of a call."""
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
