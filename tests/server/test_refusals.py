"""A gRPC caller and a Python caller get the same error for each limit of the contract."""

from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest

from base.errors import RequestError
from search.engine import Engine
from search.request import RetrieveRequest
from server.convert.curations import set_change
from server.rpc import writes
from shortlist.client import ShortlistError
from shortlist.v1 import (
    catalog_service_pb2,
    curation_service_pb2,
    recommend_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    suggestion_service_pb2,
)
from tests.refusals.all import CURATIONS, REQUESTS, WRITES
from tests.refusals.curations import NOW
from tests.refusals.refusal import Refusal

METHODS: dict[type, str] = {
    search_service_pb2.SearchRequest: "SearchService/Search",
    retrieval_service_pb2.RetrieveRequest: "RetrievalService/Retrieve",
    retrieval_service_pb2.SimilarItemsRequest: "RetrievalService/SimilarItems",
    retrieval_service_pb2.EmbedRequest: "RetrievalService/Embed",
    rerank_service_pb2.RerankRequest: "RerankService/Rerank",
    suggestion_service_pb2.SuggestRequest: "SuggestionService/Suggest",
    recommend_service_pb2.RecommendRequest: "RecommendService/Recommend",
    recommend_service_pb2.RecommendServiceSimilarItemsRequest: "RecommendService/SimilarItems",
    recommend_service_pb2.ComplementaryItemsRequest: "RecommendService/ComplementaryItems",
    recommend_service_pb2.GetProfileRequest: "RecommendService/GetProfile",
    recommend_service_pb2.GetQuestionsRequest: "RecommendService/GetQuestions",
    catalog_service_pb2.GetItemRequest: "CatalogService/GetItem",
    catalog_service_pb2.BatchGetItemsRequest: "CatalogService/BatchGetItems",
    catalog_service_pb2.ListItemsRequest: "CatalogService/ListItems",
}
# Limits that depend on the bundle: the engine checks them.
OF_THE_BUNDLE = [
    Refusal(
        "channels[1]: names no channel of this bundle; give dense, lexical",
        lambda: RetrieveRequest("q", channels=("dense", "0")),
        retrieval_service_pb2.RetrieveRequest(
            query="q", channels=["CHANNEL_DENSE", "CHANNEL_UNSPECIFIED"]
        ),
    ),
    Refusal(
        "vector: has 3 numbers; give 16, the width of the index",
        lambda: RetrieveRequest(vector=np.ones(3, np.float32)),
        retrieval_service_pb2.RetrieveRequest(vector={"values": [1.0, 1.0, 1.0]}),
    ),
]


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(RequestError) as refused:
        call()
    return str(refused.value)


def sent(refusals: list[Refusal]) -> list[Refusal]:
    return [refusal for refusal in refusals if refusal.message is not None]


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        yield channel


def error_of_call(channel: grpc.Channel, refusal: Refusal) -> str:
    message = refusal.message
    assert message is not None
    call = channel.unary_unary(f"/shortlist.v1.{METHODS[type(message)]}")
    with pytest.raises(grpc.RpcError) as failed:
        call(message.SerializeToString(), timeout=30)
    assert isinstance(failed.value, grpc.Call)
    error = ShortlistError(failed.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    [violation] = error.field_violations
    assert error.message == f"{violation.field}: {violation.problem}"
    return error.message


@pytest.mark.parametrize("refusal", sent(REQUESTS), ids=lambda refusal: refusal.error)
def test_a_call_is_refused_as_the_python_request_is(
    channel: grpc.Channel, refusal: Refusal
) -> None:
    assert error_of_call(channel, refusal) == error_of(refusal.python) == refusal.error


@pytest.mark.parametrize("refusal", OF_THE_BUNDLE, ids=lambda refusal: refusal.error)
def test_a_call_is_refused_as_the_engine_refuses(
    channel: grpc.Channel, engine: Engine, refusal: Refusal
) -> None:
    request = refusal.python()
    assert isinstance(request, RetrieveRequest)
    assert error_of(lambda: engine.retrieve(request)) == refusal.error
    assert error_of_call(channel, refusal) == refusal.error


@pytest.mark.parametrize("refusal", sent(WRITES), ids=lambda refusal: refusal.error)
def test_a_write_is_refused_as_the_python_write_is(refusal: Refusal) -> None:
    message = refusal.message
    if isinstance(message, catalog_service_pb2.UpsertItemsRequest):
        error = error_of(lambda: writes.upsert(message))
    else:
        assert isinstance(message, catalog_service_pb2.DeleteItemsRequest)
        error = error_of(lambda: writes.deletion(message))
    assert error == error_of(refusal.python) == refusal.error


@pytest.mark.parametrize("refusal", sent(CURATIONS), ids=lambda refusal: refusal.error)
def test_a_change_of_a_curation_is_refused_as_the_python_change_is(refusal: Refusal) -> None:
    message = refusal.message
    assert isinstance(message, curation_service_pb2.SetCurationRequest)
    error = error_of(lambda: set_change(message, NOW))
    assert error == error_of(refusal.python) == refusal.error


@pytest.mark.parametrize(
    "refusal", [each for each in CURATIONS if each.message is None], ids=lambda each: each.error
)
def test_a_python_change_of_a_curation_is_refused(refusal: Refusal) -> None:
    assert error_of(refusal.python) == refusal.error
