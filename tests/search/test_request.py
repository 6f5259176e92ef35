"""Requests validate themselves. An error names the invalid field by its path in the contract."""

import numpy as np
import pytest

from base.errors import RequestError
from catalog.facets import Facet
from catalog.filters import Equals
from catalog.items import Item
from search.request import (
    DENSE,
    BatchGetItemsRequest,
    EmbedRequest,
    RerankRequest,
    RetrieveRequest,
    SearchRequest,
    SimilarItemsRequest,
)
from search.rules import Boost, Cap, Pin, Rules
from tests.refusals.all import REQUESTS
from tests.refusals.refusal import Refusal

LAMPS = Equals("brand", "Lumen")


@pytest.mark.parametrize("refusal", REQUESTS, ids=lambda refusal: refusal.error)
def test_a_request_out_of_its_limits_is_refused_by_field(refusal: Refusal):
    with pytest.raises(RequestError) as refused:
        refusal.python()
    assert str(refused.value) == refusal.error


def test_white_space_is_no_query():
    for text in ("", " \t\n", "\u3000"):
        for request in (SearchRequest, RetrieveRequest):
            with pytest.raises(RequestError, match="query: is empty"):
                request(text)


def test_an_empty_query_with_a_filter_browses():
    assert SearchRequest(" ", filter=LAMPS).text == ""
    assert SearchRequest("  USB\u3000C  ", filter=LAMPS).text == "usb c"


def test_limits_themselves_are_allowed():
    SearchRequest("x" * 2_000, page_size=100, offset=1_000, recall_depth=1_000, rerank_depth=500)
    SearchRequest("q", recall_depth=1, rerank_depth=0, max_per_group=100, rerank_limit=1_000)
    SearchRequest("\ufdfa" * 100)  # its normal form has 1,800 characters
    rules = Rules(
        excluded_item_ids=("a",) * 1_000,
        boosts=(Boost(LAMPS, -10.0),) * 20,
        diversity=1.0,
        caps=(Cap("category", 100, 20),) * 10,
        pins=tuple(Pin(str(position), position) for position in range(1, 51)),
    )
    SearchRequest("q", rules=rules, facets=(Facet("brand", 200),) * 20)
    RetrieveRequest(vector=np.ones(2, np.float32), channels=(DENSE,), page_size=1_000)
    SimilarItemsRequest("a", page_size=100)
    EmbedRequest(["A  Lamp", Item("", "Lamp")] * 64)
    RerankRequest("q", [*map(str, range(499)), Item("b", "lamp")])
    BatchGetItemsRequest(["a"] * 100)


def test_ids_of_a_batch_count_once_at_their_first_place():
    assert BatchGetItemsRequest(["b", "a", "b", "c", "a"]).ids == ("b", "a", "c")


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
