"""The options of the client's calls are the fields of the contract's requests."""

from typing import Any

import pytest

from shortlist import events, requests
from shortlist.v1.event_pb2 import Event
from shortlist.v1.recommend_service_pb2 import (
    ComplementaryItemsRequest,
    RecommendRequest,
    RecommendServiceSimilarItemsRequest,
)
from shortlist.v1.retrieval_service_pb2 import RetrieveRequest, SimilarItemsRequest
from shortlist.v1.search_service_pb2 import SearchRequest


@pytest.mark.parametrize(
    ("message", "options", "positional"),
    [
        (SearchRequest, requests.SearchOptions, {"query"}),
        (RetrieveRequest, requests.RetrieveOptions, {"query", "vector"}),
        (Event, events.EventOptions, {"type", "item_id", "event_id", "time"}),
        (SimilarItemsRequest, requests.SimilarOptions, {"item_id"}),
        (RecommendRequest, requests.RecommendOptions, set()),
        (RecommendServiceSimilarItemsRequest, requests.ListOptions, {"item_id"}),
        (ComplementaryItemsRequest, requests.ListOptions, {"item_ids"}),
    ],
)
def test_the_options_of_a_call_are_the_fields_of_its_request(
    message: Any, options: Any, positional: set[str]
) -> None:
    fields = {field.name for field in message.DESCRIPTOR.fields}
    assert set(options.__annotations__) == fields - positional
