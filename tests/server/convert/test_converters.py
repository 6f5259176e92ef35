import struct
from typing import Any

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from base.errors import RequestError
from catalog.items import ITEM_FIELDS, Item
from lexical.highlights import Highlight
from search import request as search
from search.bundle import Manifest
from search.channels import CHANNELS
from search.result import Embeddings, Hit, Lookup, SearchResult, StageReport
from server.convert import catalog as catalog_messages
from server.convert import rerank as rerank_messages
from server.convert import retrieval as retrieval_messages
from server.convert import search as search_messages
from server.convert.common import CHANNEL_NAMES
from server.convert.items import item_fields, item_message
from shortlist.v1 import search_service_pb2
from shortlist.v1.item_pb2 import Item as ItemMessage
from shortlist.v1.rerank_service_pb2 import RerankCandidate, RerankRequest
from shortlist.v1.retrieval_service_pb2 import EmbedInput, EmbedRequest, RetrieveRequest
from shortlist.v1.vector_pb2 import Vector
from tests.server.convert.examples import BARE, WHOLE, refused_field
from tests.server.convert.manifests import manifest

# ---- SearchService


def search_of(bundle: Manifest | None = None, **fields: Any) -> search.SearchRequest:
    message = search_service_pb2.SearchRequest(**fields)
    return search_messages.search_request(message, bundle or manifest(), None)


def test_unset_fields_mean_the_defaults() -> None:
    assert search_of(query="cable") == search.SearchRequest("cable")


def test_sizes_are_coerced_to_their_limits() -> None:
    request = search_of(
        query="q", page_size=101, recall_depth=1_001, rerank_depth=501, max_per_group=101
    )
    assert (request.page_size, request.recall_depth, request.rerank_depth) == (100, 1_000, 500)
    assert request.max_per_group == 100


def test_order_variants_stock_and_highlights_are_read() -> None:
    fields = {"order_by": "price desc", "show_variants": True, "ignore_stock": True}
    assert search_of(query="q", highlight=True, **fields) == search.SearchRequest(
        "q", highlight=True, **fields
    )


def test_a_result_has_its_highlights_and_the_number_of_its_variants() -> None:
    highlight = Highlight("attributes.kind", "desk lamp", ((0, 4), (5, 9)))
    hit = Hit("a", 1.0, variant_count=3, highlights=(highlight,))
    found = SearchResult((hit,), (), recalled=1, reranked=0)
    [shown] = search_messages.search_response(search.SearchRequest("q"), found, manifest()).results
    assert shown.variant_count == 3
    [message] = shown.highlights
    assert (message.field, message.snippet) == ("attributes.kind", "desk lamp")
    assert [(span.start, span.end) for span in message.spans] == [(0, 4), (5, 9)]


def test_a_rerank_depth_of_zero_is_not_the_default() -> None:
    assert search_of(query="q", rerank_depth=0).rerank_depth == 0


def test_two_thousand_characters_are_allowed_however_many_bytes() -> None:
    assert search_of(query="🔌" * 2_000).query == "🔌" * 2_000


def test_every_channel_of_the_engine_is_in_the_contract() -> None:
    assert {channel.name for channel in CHANNELS} == set(CHANNEL_NAMES.values())


def result(count: int, *, has_more: bool) -> SearchResult:
    hits = tuple(
        Hit(
            f"i{place}",
            score=-float(place),
            channel_scores={"dense": 0.5} if place else {},
            rerank_score=0.25,
            item=Item(f"i{place}", f"title {place}"),
        )
        for place in range(count)
    )
    stages = (StageReport("encode", 0, 0.0015), StageReport("recall", 200, 1.25))
    return SearchResult(hits, stages, recalled=200, reranked=50, has_more=has_more)


def test_a_response_tells_what_the_engine_did() -> None:
    request = search.SearchRequest("q", page_size=2)
    response = search_messages.search_response(
        request, result(2, has_more=True), manifest("bundle")
    )
    assert [(r.item_id, r.item.title, r.rank, r.score) for r in response.results] == [
        ("i0", "title 0", 1, 0),
        ("i1", "title 1", 2, -1),
    ]
    assert not response.results[0].HasField("dense_score")
    assert response.results[1].dense_score == 0.5
    assert not response.results[0].HasField("lexical_score")
    assert response.results[0].rerank_score == 0.25
    assert [(s.name, s.candidate_count) for s in response.stages] == [
        ("encode", 0),
        ("recall", 200),
    ]
    assert response.stages[0].duration.ToNanoseconds() == 1_500_000
    assert (response.stages[1].duration.seconds, response.stages[1].duration.nanos) == (
        1,
        250_000_000,
    )
    assert (response.recalled_count, response.reranked_count) == (200, 50)
    assert response.bundle_id == "bundle"


def test_relevance_and_its_minimum_are_converted() -> None:
    assert search_of(query="q").min_relevance is None
    assert search_of(query="q", min_relevance=0).min_relevance == 0.0
    assert search_of(query="q", min_relevance=0.25).min_relevance == 0.25
    hits = (Hit("a", 1.0, relevance=0.75), Hit("b", 0.5, guessed=True))
    found = SearchResult(hits, (), recalled=2, reranked=0, relevant=0, nothing_fits=True)
    response = search_messages.search_response(search.SearchRequest("q"), found, manifest())
    assert response.results[0].relevance == 0.75
    assert [result.guessed for result in response.results] == [False, True]
    assert not response.results[1].HasField("relevance")
    assert response.HasField("relevant_count")
    assert response.coverage.nothing_fits
    without = search_messages.search_response(
        search.SearchRequest("q"), result(1, has_more=False), manifest()
    )
    assert not without.HasField("relevant_count")
    assert not without.coverage.nothing_fits


def test_a_page_token_fits_only_the_same_minimum_relevance() -> None:
    token = token_after(search.SearchRequest("q", min_relevance=0.5), manifest())
    assert search_of(query="q", min_relevance=0.5, page_token=token).offset == 1
    assert refused_field(search_of, query="q", page_token=token) == "page_token"


def token_after(request: search.SearchRequest, bundle: Manifest) -> str:
    response = search_messages.search_response(request, result(1, has_more=True), bundle)
    return response.next_page_token


def test_the_next_page_continues_the_ranks_even_with_another_size() -> None:
    response = search_messages.search_response(
        search_of(query="q", page_size=2), result(2, has_more=True), manifest()
    )
    request = search_of(query="q", page_size=3, page_token=response.next_page_token)
    assert (request.offset, request.page_size) == (2, 3)
    last = search_messages.search_response(request, result(1, has_more=False), manifest())
    assert [r.rank for r in last.results] == [3]
    assert last.next_page_token == ""


def test_no_page_begins_beyond_the_thousandth_result() -> None:
    def token_at(offset: int) -> str:
        return token_after(search.SearchRequest("q", page_size=1, offset=offset), manifest())

    assert token_at(998) != ""  # the next page begins with the 1,000th result
    assert token_at(999) == ""


def test_a_page_token_of_another_bundle_is_refused() -> None:
    token = token_after(search.SearchRequest("q"), manifest("old"))
    assert refused_field(search_of, manifest("new"), query="q", page_token=token) == "page_token"


def test_a_page_token_fits_whatever_was_compacted_from_its_bundle_and_nothing_else() -> None:
    def token_of(bundle_id: str, root: str | None) -> str:
        return token_after(search.SearchRequest("q"), manifest(bundle_id, root))

    for token in (token_of("first", None), token_of("second", "first")):
        for bundle_id, root in (("first", None), ("second", "first"), ("third", "first")):
            page = search_of(manifest(bundle_id, root), query="q", page_token=token)
            assert page.offset == 1
        for bundle_id, root in (("other", None), ("second", "other"), ("second", None)):
            bundle = manifest(bundle_id, root)
            assert refused_field(search_of, bundle, query="q", page_token=token) == "page_token"


# ---- RetrievalService


def retrieve_of(**fields: Any) -> search.RetrieveRequest:
    return retrieval_messages.retrieve_request(RetrieveRequest(**fields), None)


def test_a_signalling_nan_is_refused_like_any_other() -> None:
    values = struct.pack("<f", 1) + bytes.fromhex("0100a07f")
    message = Vector.FromString(b"\x0a\x08" + values)
    assert refused_field(retrieve_of, vector=message) == "vector"


@pytest.mark.parametrize(("asked", "limit"), [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000)])
def test_retrieve_sizes(asked: int, limit: int) -> None:
    assert retrieve_of(query="q", page_size=asked).page_size == limit


def test_hits_without_a_cosine_have_a_score_alone() -> None:
    response = retrieval_messages.retrieve_response(result(2, has_more=False), "bundle")
    assert [(r.item_id, r.score) for r in response.results] == [("i0", 0), ("i1", -1)]
    assert [r.HasField("dense_score") for r in response.results] == [False, True]
    assert [r.item.title for r in response.results] == ["title 0", "title 1"]
    assert [stage.name for stage in response.stages] == ["encode", "recall"]
    assert response.bundle_id == "bundle"


def test_embed_inputs_keep_their_order() -> None:
    request = EmbedRequest(
        inputs=[
            EmbedInput(query="cable"),
            EmbedInput(item=item_message(WHOLE)),
            EmbedInput(query="charger"),
        ]
    )
    assert retrieval_messages.embed_request(request, None).inputs == ["cable", WHOLE, "charger"]


def test_an_input_that_is_not_set_is_refused_by_its_place() -> None:
    message = EmbedRequest(inputs=[EmbedInput(query="q"), EmbedInput()])
    assert refused_field(retrieval_messages.embed_request, message, None) == "inputs[1]"


def test_embeddings_are_packed_floats() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8]], np.float32)
    response = retrieval_messages.embed_response(Embeddings(vectors, ()), "b")
    assert [list(v.values) for v in response.embeddings] == vectors.tolist()
    assert struct.pack("<2f", 0.6, 0.8) in response.SerializeToString()


def test_an_encoding_tells_what_was_done() -> None:
    stages = (StageReport("encode", 2, 0.5), StageReport("encode", 1, 0.25))
    vectors = np.zeros((3, 2), np.float32)
    response = retrieval_messages.embed_response(Embeddings(vectors, stages), "b")
    assert [(s.name, s.candidate_count) for s in response.stages] == [("encode", 2), ("encode", 1)]
    assert [s.duration.ToMilliseconds() for s in response.stages] == [500, 250]
    assert response.HasField("coverage")
    assert (list(response.coverage.degradations), response.bundle_id) == ([], "b")


# ---- RerankService


def test_candidates_are_ids_or_items() -> None:
    request = RerankRequest(
        query="q",
        candidates=[
            RerankCandidate(item_id="a-1"),
            RerankCandidate(item=item_message(WHOLE)),
        ],
    )
    assert rerank_messages.rerank_request(request, None).candidates == ["a-1", WHOLE]


def test_a_candidate_that_is_not_set_is_refused_by_its_place() -> None:
    message = RerankRequest(query="q", candidates=[RerankCandidate()])
    assert refused_field(rerank_messages.rerank_request, message, None) == "candidates[0]"


# ---- CatalogService


@pytest.mark.parametrize(
    ("paths", "fields"),
    [([], None), (["*"], None), (["price", "*"], None), (["price"], {"price"})],
)
def test_fields_wanted_of_items_that_are_got(paths: list[str], fields: set[str] | None) -> None:
    mask = FieldMask(paths=paths)
    assert item_fields(mask) == fields
    assert retrieve_of(query="q", item_fields=mask).with_items == bool(paths)


@pytest.mark.parametrize("name", ["colour", "attributes.colour", "embedding", "", "Title"])
def test_fields_that_items_do_not_have_are_refused(name: str) -> None:
    mask = FieldMask(paths=["title", name])
    with pytest.raises(RequestError) as refused:
        item_fields(mask)
    names = ", ".join(field.name for field in ITEM_FIELDS)
    problem = f"names no field of items; give {names}, *"
    assert str(refused.value) == f"item_fields.paths[1]: {problem}"


def test_what_was_looked_up_has_the_fields_wanted_and_says_how_it_went() -> None:
    found = Lookup((WHOLE, BARE), ("nope",), (StageReport("lookup", 2, 0.001),))
    response = catalog_messages.batch_get_response(found, frozenset({"item_id", "brand"}), "b")
    assert list(response.items) == [
        ItemMessage(item_id="b-7", brand="Voltix"),
        ItemMessage(item_id="a-1"),
    ]
    assert (list(response.missing_item_ids), response.bundle_id) == (["nope"], "b")
    [stage] = response.stages
    assert (stage.name, stage.candidate_count) == ("lookup", 2)
    assert response.HasField("coverage")
    alone = Lookup((WHOLE,), (), found.stages)
    whole = catalog_messages.get_item_response(alone, None, "b")
    assert (whole.item, whole.bundle_id) == (item_message(WHOLE), "b")
    assert [s.name for s in whole.stages] == ["lookup"]
    assert whole.HasField("coverage")
