"""Every method over a real channel, compared with direct calls of the engine."""

import logging
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from search import request as engine_requests
from search.engine import Engine
from server.convert.items import item_message
from shortlist.client import Client, ShortlistError
from shortlist.v1 import channel_pb2
from shortlist.v1.catalog_service_pb2 import GetItemRequest
from shortlist.v1.catalog_service_pb2_grpc import CatalogServiceStub
from shortlist.v1.item_pb2 import Item
from shortlist.v1.rerank_service_pb2 import RerankCandidate, RerankRequest
from shortlist.v1.rerank_service_pb2_grpc import RerankServiceStub
from shortlist.v1.retrieval_service_pb2 import EmbedInput, EmbedRequest, RetrieveRequest
from shortlist.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from shortlist.v1.search_service_pb2 import SearchRequest, SearchResponse
from shortlist.v1.search_service_pb2_grpc import SearchServiceStub

Code = grpc.StatusCode

QUERY = "usb c charger"
TOLERANCE = 1e-5


def error_of(call: object, *arguments: object, **named: object) -> ShortlistError:
    assert callable(call)
    with pytest.raises(ShortlistError) as failed:
        call(*arguments, **named)
    return failed.value


def refused_field(call: object, *arguments: object, **named: object) -> str:
    """Return the field in the error of a refused call; the error must name exactly one field."""
    error = error_of(call, *arguments, **named)
    assert error.code == Code.INVALID_ARGUMENT, error
    [violation] = error.field_violations
    return violation.field


# ---- Search


def test_search_answers_as_the_engine_does(client: Client, engine: Engine) -> None:
    response = client.search(QUERY, page_size=20, ignore_stock=True)
    expected = engine.search(engine_requests.SearchRequest(QUERY, page_size=20))
    assert [r.item_id for r in response.results] == [hit.item_id for hit in expected.hits]
    for result, hit in zip(response.results, expected.hits, strict=True):
        assert result.score == pytest.approx(hit.score, abs=TOLERANCE)
        assert result.dense_score == pytest.approx(hit.channel_scores["dense"], abs=TOLERANCE)
        assert result.rerank_score == pytest.approx(hit.rerank_score, abs=TOLERANCE)
        assert result.item == item_message(engine.store.item(engine.store.row(hit.item_id)))
    assert [s.name for s in response.stages] == [s.name for s in expected.stages]
    assert response.recalled_count == expected.recalled
    assert response.reranked_count == expected.reranked > 0
    assert response.bundle_id == engine.bundle_id


def test_ranks_begin_at_one_and_scores_fall(client: Client) -> None:
    results = client.search(QUERY).results
    assert [r.rank for r in results] == list(range(1, 11))
    scores = [r.score for r in results]
    assert scores == sorted(scores, reverse=True)


def test_every_stage_says_how_long_it_took(client: Client) -> None:
    stages = client.search(QUERY).stages
    assert stages
    assert all(stage.duration.ToNanoseconds() > 0 for stage in stages)


def test_a_search_made_again_is_remembered_and_answers_the_same(client: Client) -> None:
    query = "a lamp nobody has asked for yet"
    first, again = client.search(query), client.search(query)
    assert [stage.cached_count for stage in first.stages] == [0, 0, 0, 0]
    assert {stage.name: stage.cached_count for stage in again.stages} == {
        "encode": 1,
        "recall": 0,
        "features": 0,
        "rerank": again.reranked_count,
    }
    assert list(again.results) == list(first.results)


def test_calls_at_the_same_time_answer_as_each_would_alone(client: Client, engine: Engine) -> None:
    queries = [f"{word} {number}" for word in ("lamp", "desk", "usb hub") for number in range(12)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(client.search, queries))
    for query, answer in zip(queries, answers, strict=True):
        alone = {
            hit.item_id: hit.score
            for hit in engine.search(engine_requests.SearchRequest(query, page_size=20)).hits
        }
        # In another batch, numbers are added in another order, so bfloat16 may round otherwise.
        # Each of the two scores differs from the float32 score by at most 1.7e-3 (measured for
        # these queries and this bundle), so they differ from each other by at most twice that.
        tolerance = TOLERANCE if engine.numerics.dtype == "float32" else 2 * 1.7e-3
        for result in answer.results:
            assert result.score == pytest.approx(alone[result.item_id], abs=tolerance)


def test_pages_follow_one_another_to_the_end_without_gap_or_repetition(
    client: Client, engine: Engine
) -> None:
    seen: list[str] = []
    token = ""
    for _ in range(len(engine.store)):
        page = client.search(QUERY, page_size=7, page_token=token)
        seen += [r.item_id for r in page.results]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(engine.store.ids)
    assert seen[:20] == [r.item_id for r in client.search(QUERY, page_size=20).results]


def test_without_reranking_the_order_is_that_of_stage_one(client: Client) -> None:
    response = client.search(QUERY, page_size=20, rerank_depth=0, ignore_stock=True)
    assert response.reranked_count == 0
    assert not any(r.HasField("rerank_score") for r in response.results)
    retrieved = client.retrieve(QUERY, page_size=20)
    assert [r.item_id for r in response.results] == [r.item_id for r in retrieved.results]


@pytest.mark.parametrize(
    "query",
    ["?", "\x00", "\u202e", "e\u0301\u0327", "🔌" * 2_000, "%s {0} $x ../", "\ufffe", "'; --"],
    ids=lambda query: ascii(query[:8]),
)
def test_odd_queries_are_answered(client: Client, query: str) -> None:
    assert len(client.search(query, page_size=3).results) == 3


def test_a_page_size_above_the_limit_is_coerced(client: Client, engine: Engine) -> None:
    results = client.search(QUERY, page_size=2**31 - 1).results
    assert len(results) == min(100, len(engine.store))


def test_a_page_token_fits_only_its_own_search(client: Client) -> None:
    token = client.search(QUERY, page_size=2).next_page_token
    error = error_of(client.search, "another", page_token=token)
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH")
    assert [v.field for v in error.field_violations] == ["page_token"]
    assert refused_field(client.search, QUERY, rerank_depth=3, page_token=token) == "page_token"
    assert refused_field(client.search, QUERY, page_token="made up") == "page_token"


def test_the_query_is_never_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client.search("a very private wish")
    error_of(client.search, "another private wish", page_size=-1)
    assert "private" not in caplog.text


# ---- Retrieve and Embed


def test_retrieving_by_text_and_by_its_vector_agree(client: Client) -> None:
    dense = channel_pb2.CHANNEL_DENSE
    by_text = client.retrieve(QUERY, page_size=15, channels=[dense])
    vector = client.embed([QUERY]).embeddings[0].values
    by_vector = client.retrieve([7 * value for value in vector], page_size=15)
    assert [r.item_id for r in by_text.results] == [r.item_id for r in by_vector.results]
    for left, right in zip(by_text.results, by_vector.results, strict=True):
        assert left.dense_score == pytest.approx(right.dense_score, abs=TOLERANCE)
        assert abs(left.dense_score) <= 1 + TOLERANCE
        assert [recalled.channel for recalled in left.recalled_by] == [dense]
    scores = [r.score for r in by_text.results]
    assert scores == sorted(scores, reverse=True)


def test_results_say_which_channels_recalled_them(client: Client) -> None:
    lexical = channel_pb2.CHANNEL_LEXICAL
    alone = client.retrieve(QUERY, channels=[lexical]).results
    ranks = {result.item_id: result.recalled_by[0].rank for result in alone}
    assert list(ranks.values()) == list(range(1, len(ranks) + 1))
    both = [*client.retrieve(QUERY).results, *client.search(QUERY, page_size=100).results]
    for result in both:
        assert result.recalled_by
        for recalled in result.recalled_by:
            if recalled.channel == lexical:
                assert recalled.rank == ranks[result.item_id]


def test_the_whole_catalogue_can_be_retrieved(client: Client, engine: Engine) -> None:
    results = client.retrieve(QUERY, page_size=1_000).results
    assert sorted(r.item_id for r in results) == sorted(engine.store.ids)


def test_an_unset_oneof_is_refused(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        retrieval, rerank = RetrievalServiceStub(channel), RerankServiceStub(channel)
        unset = [
            lambda: retrieval.Retrieve(RetrieveRequest()),
            lambda: retrieval.Embed(EmbedRequest(inputs=[EmbedInput()])),
            lambda: rerank.Rerank(RerankRequest(query="q", candidates=[RerankCandidate()])),
        ]
        for call in unset:
            with pytest.raises(grpc.RpcError) as failed:
                call()
            assert isinstance(failed.value, grpc.Call)
            assert failed.value.code() == Code.INVALID_ARGUMENT


def test_embeddings_are_unit_vectors_in_the_order_of_the_inputs(
    client: Client, engine: Engine
) -> None:
    item = engine.store.item(0)
    response = client.embed([QUERY, item_message(item), "hdmi cable"])
    vectors = np.array([list(vector.values) for vector in response.embeddings])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=TOLERANCE)
    expected = engine.embed(engine_requests.EmbedRequest([QUERY, "hdmi cable"])).vectors
    np.testing.assert_allclose(vectors[[0, 2]], expected, atol=TOLERANCE)
    np.testing.assert_allclose(
        vectors[[1]], engine.embed(engine_requests.EmbedRequest([item])).vectors, atol=TOLERANCE
    )
    assert response.bundle_id == engine.bundle_id


def test_a_bare_text_can_be_embedded_as_an_item(client: Client, engine: Engine) -> None:
    assert len(client.embed([Item(title="cable")]).embeddings[0].values) == engine.dim


# ---- Rerank


def test_reranking_orders_every_candidate_as_the_engine_does(
    client: Client, engine: Engine
) -> None:
    item_ids = list(engine.store.ids[:12])
    response = client.rerank(QUERY, item_ids)
    expected = engine.rerank(engine_requests.RerankRequest(QUERY, item_ids))
    assert [r.item_id for r in response.results] == [hit.item_id for hit in expected.hits]
    assert sorted(r.item_id for r in response.results) == sorted(item_ids)
    for result, hit in zip(response.results, expected.hits, strict=True):
        assert result.score == pytest.approx(hit.score, abs=TOLERANCE)


def test_items_may_be_given_inline_among_ids(client: Client, engine: Engine) -> None:
    stranger = Item(item_id="not in the catalogue", title="usb c charger 65 w", brand="Voltix")
    response = client.rerank(QUERY, [engine.store.ids[0], stranger])
    assert {r.item_id for r in response.results} == {engine.store.ids[0], stranger.item_id}


def test_an_unknown_candidate_is_not_found(client: Client, engine: Engine) -> None:
    error = error_of(client.rerank, QUERY, [engine.store.ids[0], "nope", "neither"])
    assert (error.code, error.reason) == (Code.NOT_FOUND, "UNKNOWN_ITEM")
    assert error.resources == ("nope", "neither")


# ---- Catalog


@pytest.mark.parametrize("fields", [(), ("*",), ("title", "price")])
def test_items_come_with_the_fields_wanted_alone(
    client: Client, engine: Engine, fields: tuple[str, ...]
) -> None:
    names = frozenset(fields) if fields and fields != ("*",) else None
    expected = item_message(engine.store.item(0), names)
    item_id = engine.store.ids[0]
    assert client.get_item(item_id, item_fields=fields) == expected
    assert client.batch_get_items([item_id], item_fields=fields).items[0] == expected


def test_hits_of_a_retrieval_have_items_on_demand(client: Client, engine: Engine) -> None:
    def items(*fields: str) -> list[Item | None]:
        found = client.retrieve(QUERY, page_size=5, item_fields=fields).results
        return [hit.item if hit.HasField("item") else None for hit in found]

    stored = [
        engine.store.item(engine.store.row(hit.item_id))
        for hit in client.retrieve(QUERY, page_size=5).results
    ]
    assert items() == [None] * 5
    assert items("*") == [item_message(item) for item in stored]
    assert items("title") == [Item(title=item.title) for item in stored]
    by_vector = client.retrieve([1.0] * engine.dim, page_size=1, item_fields=["brand"])
    assert by_vector.results[0].item.brand


def test_fields_that_items_do_not_have_are_refused(client: Client, engine: Engine) -> None:
    place, wrong = "item_fields.paths[1]", ["title", "colour"]
    item_id = engine.store.ids[0]
    assert refused_field(client.get_item, item_id, item_fields=wrong) == place
    assert refused_field(client.batch_get_items, [item_id], item_fields=wrong) == place
    assert refused_field(client.retrieve, QUERY, item_fields=wrong) == place
    assert refused_field(client.similar_items, item_id, item_fields=wrong) == place


def test_every_answer_says_what_was_done_and_by_which_bundle(
    address: str, client: Client, engine: Engine
) -> None:
    first, second = engine.store.ids[:2]
    with grpc.insecure_channel(address) as channel:
        one = CatalogServiceStub(channel).GetItem(GetItemRequest(item_id=first), timeout=30)
    stages = {
        "encode recall features rerank": [client.search(QUERY), client.retrieve(QUERY)],
        "recall": [client.similar_items(first)],
        "encode encode": [client.embed(["q", Item(title="cable"), "r"])],
        "encode features rerank": [client.rerank(QUERY, [first, second])],
        "lookup": [one, client.batch_get_items([first, "nope", second])],
        "list": [client.list_items(2)],
    }
    for names, answers in stages.items():
        for answer in answers:
            assert [s.name for s in answer.stages] == names.split()[: len(answer.stages)]
            assert answer.stages
            assert all(stage.duration.ToNanoseconds() > 0 for stage in answer.stages)
            assert answer.HasField("coverage")
            assert not answer.coverage.degradations
            assert answer.bundle_id == engine.bundle_id
    assert [s.candidate_count for s in stages["encode encode"][0].stages] == [2, 1]
    assert [a.stages[0].candidate_count for a in stages["lookup"]] == [1, 2]


def test_an_item_is_as_the_store_has_it(client: Client, engine: Engine) -> None:
    for row in range(len(engine.store)):
        item = engine.store.item(row)
        assert client.get_item(item.item_id) == item_message(item)


def test_an_unknown_item_is_not_found(client: Client) -> None:
    error = error_of(client.get_item, "nope" * 1_000)
    assert (error.code, error.reason) == (Code.NOT_FOUND, "UNKNOWN_ITEM")


def test_pages_list_every_item_once_in_the_order_of_ids(client: Client, engine: Engine) -> None:
    found, token = [], ""
    while True:
        page = client.list_items(20, token)
        assert page.total_size == len(engine.store)
        found += page.items
        if not (token := page.next_page_token):
            break
    ids = sorted(engine.store.ids)
    assert found == [item_message(engine.store.item(engine.store.row(i))) for i in ids]
    [item] = client.list_items(1, item_fields=["title"]).items
    assert item == Item(title=found[0].title)
    assert len(client.list_items(2_000).items) == len(ids)


def test_a_page_token_of_something_else_is_refused(client: Client) -> None:
    search = client.search(QUERY, page_size=1).next_page_token
    for token in (search, "!", "bm9uZQ=="):
        error = error_of(client.list_items, 1, token)
        assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH")


def test_a_batch_tells_found_from_missing(client: Client, engine: Engine) -> None:
    first, second = engine.store.ids[:2]
    response = client.batch_get_items([second, "nope", first, second, "neither"])
    assert [item.item_id for item in response.items] == [second, first]
    assert list(response.missing_item_ids) == ["nope", "neither"]
    assert response.bundle_id == engine.bundle_id


# ---- deadlines and sizes


def test_a_call_whose_deadline_is_over_is_given_up(client: Client) -> None:
    error = error_of(client.search, QUERY, timeout_seconds=1e-6)
    assert error.code == Code.DEADLINE_EXCEEDED
    assert client.search(QUERY).results  # the server still answers


def test_a_text_with_lone_surrogates_is_never_sent(client: Client) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        client.search("usb\ud800")


def test_a_message_over_the_limit_is_refused_and_the_server_goes_on(client: Client) -> None:
    huge = Item(item_id="a", title="t", description="x" * (9 * 2**20))
    assert error_of(client.rerank, QUERY, [huge]).code == Code.RESOURCE_EXHAUSTED
    assert client.search(QUERY).results


def test_clients_with_unknown_fields_are_answered(address: str) -> None:
    # A newer client sends a field with number 1023, which the contract does not have.
    newer = SearchRequest(query=QUERY).SerializeToString() + b"\xfa\x3f\x03new"
    with grpc.insecure_channel(address) as channel:
        answer = channel.unary_unary("/shortlist.v1.SearchService/Search")(newer, timeout=30)
        plain = SearchServiceStub(channel).Search(SearchRequest(query=QUERY), timeout=30)
    ids = [r.item_id for r in SearchResponse.FromString(answer).results]
    assert ids == [r.item_id for r in plain.results]
