"""Requests validate themselves. An error names the invalid field by its path in the contract."""

import numpy as np
import pytest

from catalog.facets import Facet
from catalog.filters import Equals, Or
from catalog.items import Item
from search.errors import RequestError
from search.request import (
    DENSE,
    LEXICAL,
    EmbedRequest,
    RerankRequest,
    RetrieveRequest,
    SearchRequest,
    SimilarItemsRequest,
)
from search.rules import Boost, Cap, Pin, Rules

LAMPS = Equals("brand", "Lumen")


def refusal(request, *arguments, **fields) -> str:
    with pytest.raises(RequestError) as refused:
        request(*arguments, **fields)
    return str(refused.value)


@pytest.mark.parametrize("text", ["", " \t\n", "\u3000"])
def test_an_empty_query_is_refused(text):
    for request in (SearchRequest, RetrieveRequest):
        assert refusal(request, text).startswith("query: is empty")
    assert refusal(RerankRequest, text, ["a"]).startswith("query: is empty")


def test_a_query_may_be_long_but_not_a_document():
    SearchRequest("x" * 2_000)
    problem = "query: has 10,000 characters; at most 2,000 are allowed"
    assert refusal(SearchRequest, "x" * 10_000) == problem


def test_an_empty_query_with_a_filter_browses():
    assert SearchRequest(" ", filter=LAMPS).text == ""
    assert SearchRequest("  USB\u3000C  ", filter=LAMPS).text == "usb c"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"page_size": 0}, "page_size: is 0; give 1 to 100"),
        ({"page_size": 101}, "page_size: is 101; give 1 to 100"),
        ({"offset": -1}, "offset: is -1; give 0 to 1000"),
        ({"offset": 1_001}, "offset: is 1001; give 0 to 1000"),
        ({"recall_depth": 0}, "recall_depth: is 0; give 1 to 1000"),
        ({"recall_depth": 1_001}, "recall_depth: is 1001; give 1 to 1000"),
        ({"rerank_depth": -1}, "rerank_depth: is -1; give 0 to 1000"),
        ({"rerank_limit": -1}, "rerank_limit: is -1; give 0 to 1000"),
        ({"max_per_group": -1}, "max_per_group: is -1; give 0 to 100"),
        ({"filter": Or(())}, "filter.or_group.filters: is empty; give at least one filter"),
        ({"facets": (Facet("brand"), Facet("shoe"))}, "facets[1].field: names no field"),
        ({"facets": (Facet("brand"),) * 21}, "facets: has 21 entries; at most 20 are allowed"),
        ({"rules": Rules(diversity=1.5)}, "rules.diversity: is 1.5; give 0 to 1"),
        ({"rules": Rules(diversity=float("nan"))}, "rules.diversity: is nan; give 0 to 1"),
        ({"rules": Rules(excluded_ids=("a", ""))}, "rules.excluded_item_ids[1]: is empty"),
        ({"rules": Rules(boosts=(Boost(LAMPS, 0.0),))}, "rules.boosts[0].strength: is 0.0"),
        ({"rules": Rules(boosts=(Boost(LAMPS, 11.0),))}, "rules.boosts[0].strength: is 11.0"),
        ({"rules": Rules(caps=(Cap("title", 1),))}, "rules.caps[0].field: cannot be capped"),
        ({"rules": Rules(caps=(Cap("brand", 0),))}, "rules.caps[0].max_results: is 0"),
        ({"rules": Rules(caps=(Cap("brand", 1, 2),))}, "rules.caps[0].category_level: is for"),
        ({"rules": Rules(pins=(Pin("a", 0),))}, "rules.pins[0].position: is 0; give 1 to 50"),
        ({"rules": Rules(pins=(Pin("", 1),))}, "rules.pins[0].item_id: is empty"),
        ({"rules": Rules(pins=(Pin("a", 1), Pin("a", 2)))}, "rules.pins[1].item_id: is pinned"),
        ({"rules": Rules(pins=(Pin("a", 1), Pin("b", 1)))}, "rules.pins[1].position: is taken"),
    ],
)
def test_a_search_out_of_its_limits_is_refused_by_field(fields, problem):
    assert refusal(SearchRequest, "lamp", **fields).startswith(problem)


def test_limits_themselves_are_allowed():
    SearchRequest("q", page_size=100, offset=1_000, recall_depth=1_000, rerank_depth=0)
    SearchRequest("q", recall_depth=1, rerank_depth=1_000, max_per_group=100, rerank_limit=0)


def test_the_identity_of_a_search_has_every_field_but_those_of_the_page():
    search = SearchRequest("lamp", filter=LAMPS, rerank_depth=5)
    page = SearchRequest(
        "lamp", filter=LAMPS, rerank_depth=5, page_size=3, offset=9, rerank_limit=2, deadline=1.0
    )
    assert page.identity == search.identity
    others = [
        SearchRequest("lamps", filter=LAMPS, rerank_depth=5),
        SearchRequest("lamp", rerank_depth=5),
        SearchRequest("lamp", filter=LAMPS),
        SearchRequest("lamp", filter=LAMPS, rerank_depth=5, recall_depth=7),
        SearchRequest("lamp", filter=LAMPS, rerank_depth=5, max_per_group=1),
        SearchRequest("lamp", filter=LAMPS, rerank_depth=5, facets=(Facet("brand"),)),
        SearchRequest("lamp", filter=LAMPS, rerank_depth=5, rules=Rules(diversity=0.5)),
    ]
    assert len({search.identity, *(other.identity for other in others)}) == 8


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([0, 0], "vector: is all zeros"),
        ([-0.0, 0.0], "vector: is all zeros"),
        ([], "vector: is all zeros"),
        ([float("nan"), 1], "vector: holds a number that is not finite"),
        ([float("inf"), 1], "vector: holds a number that is not finite"),
    ],
)
def test_a_vector_without_a_direction_is_refused(values, problem):
    assert refusal(RetrieveRequest, np.array(values, np.float32)).startswith(problem)


def test_a_vector_suits_the_dense_channel_alone():
    vector = np.ones(2, np.float32)
    RetrieveRequest(vector, channels=(DENSE,))
    assert refusal(RetrieveRequest, vector, channels=(LEXICAL,)).startswith("channels: ")
    assert refusal(RetrieveRequest, vector, page_size=1_001).startswith("page_size: is 1001")


def test_inputs_to_embed_are_counted_and_refused_by_index():
    assert refusal(EmbedRequest, []) == "inputs: has 0 entries; give 1 to 128"
    assert refusal(EmbedRequest, ["x"] * 129) == "inputs: has 129 entries; give 1 to 128"
    assert refusal(EmbedRequest, ["x", " "]).startswith("inputs[1].query: is empty")
    assert refusal(EmbedRequest, ["x", Item("a", " ")]).startswith("inputs[1].item.title: is")
    EmbedRequest(["A  Lamp", Item("", "Lamp")])


def test_candidates_are_named_once_each_and_have_titles():
    def problem(*candidates) -> str:
        return refusal(RerankRequest, "q", candidates)

    RerankRequest("q", ["a", Item("b", "lamp")])
    assert problem("a", Item("a", "lamp")).startswith("candidates[1]: has the id of an earlier")
    assert problem("a", "").startswith("candidates[1].item_id: is empty")
    assert problem(Item("", "lamp")).startswith("candidates[0].item.item_id: is empty")
    assert problem(Item("a", "")).startswith("candidates[0].item.title: is empty")
    assert problem(*map(str, range(501))) == "candidates: has 501 entries; give 1 to 500"
    assert problem() == "candidates: has 0 entries; give 1 to 500"


def test_similar_items_need_an_item_and_a_page():
    assert refusal(SimilarItemsRequest, "").startswith("item_id: is empty")
    assert refusal(SimilarItemsRequest, "a", page_size=101).startswith("page_size: is 101")


def test_a_query_whose_normal_form_is_too_long_is_refused():
    ligature = "\ufdfa"  # one character, whose normal form has eighteen
    SearchRequest(ligature * 100)
    with pytest.raises(RequestError, match="query: has 36,000 characters; at most 2,000"):
        SearchRequest(ligature * 2_000)
