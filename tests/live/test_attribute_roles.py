"""Attributes that models do not read: offline, in live writes, and after a compaction."""

from dataclasses import replace

import numpy as np
import pytest

from base.errors import RequestError
from bert.numerics import choose_numerics
from catalog.attribute_roles import AttributeRoles
from catalog.facets import Facet
from catalog.filters import Equals, Exists, Not
from catalog.items import Item
from search.request import (
    LEXICAL,
    EmbedRequest,
    RerankRequest,
    RetrieveRequest,
    SearchRequest,
    SimilarItemsRequest,
)
from search.rules import Boost, Cap, Rules
from tests.live.conftest import LAMP
from tests.tiny import tiny_items, write_bundle

ROLES = AttributeRoles(frozenset({"margin"}), frozenset({"note"}))
UNREAD = {"margin": ("xylophone", "high"), "note": "zebra"}
BUILT = replace(tiny_items()[0], item_id="built", attributes={"colour": "teal"} | UNREAD)
WRITTEN = replace(LAMP, attributes={"colour": "teal"} | UNREAD)


@pytest.fixture
def shop(opened, tmp_path):
    bundle = tmp_path / "bundle"
    write_bundle(bundle, [BUILT, *tiny_items()], choose_numerics(), roles=ROLES)
    with opened(root=bundle) as shop:
        yield shop


def recalled(shop, word: str) -> set[str]:
    request = RetrieveRequest(word, channels=(LEXICAL,))
    return {hit.item_id for hit in shop.engine.retrieve(request).hits}


def vector(shop, item_id: str) -> np.ndarray:
    row = shop.engine.snapshot.catalogue.row(item_id)
    return shop.engine.snapshot.channels.vector(row)


def plain(item: Item) -> Item:
    return replace(item, attributes={"colour": "teal"})


def check_unread(shop) -> None:
    assert recalled(shop, "teal") == {"built", "lamp"}
    for word in ("xylophone", "zebra", "margin", "note"):
        assert recalled(shop, word) == set()
    for item in (BUILT, WRITTEN):
        assert shop.items()[item.item_id] == item
        expected = shop.engine.embed(EmbedRequest([plain(item)])).vectors[0]
        np.testing.assert_allclose(vector(shop, item.item_id), expected, atol=1e-2)
    result = shop.engine.search(SearchRequest("", filter=Equals("attributes.margin", "xylophone")))
    assert {hit.item_id for hit in result.hits} == {"built", "lamp"}


def test_neither_models_nor_the_lexical_index_read_them(shop):
    shop.upsert(WRITTEN)
    shop.shown()
    check_unread(shop)
    shop.live.compact()
    check_unread(shop)


def test_inline_items_are_read_without_them(shop):
    with_them, without = shop.engine.embed(EmbedRequest([WRITTEN, plain(WRITTEN)])).vectors
    np.testing.assert_array_equal(with_them, without)
    two = [replace(WRITTEN, item_id="1"), replace(plain(WRITTEN), item_id="2")]
    first, second = shop.engine.rerank(RerankRequest("teal lamp", two)).hits
    assert first.score == pytest.approx(second.score, abs=1e-6)


NOTE = Exists("attributes.note")


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("filter.exists.field", lambda e: e.search(SearchRequest("q", filter=NOTE))),
        ("filter.not_filter.exists.field", lambda e: e.retrieve(
            RetrieveRequest("q", filter=Not(NOTE)))),
        ("filter.exists.field", lambda e: e.similar(
            SimilarItemsRequest("built", filter=NOTE))),
        ("facets[1].field", lambda e: e.search(
            SearchRequest("q", facets=(Facet("brand"), Facet("attributes.note"))))),
        ("rules.excluded.exists.field", lambda e: e.search(
            SearchRequest("q", rules=Rules(excluded=NOTE)))),
        ("rules.boosts[0].filter.exists.field", lambda e: e.search(
            SearchRequest("q", rules=Rules(boosts=(Boost(NOTE, 1.0),))))),
        ("rules.caps[0].field", lambda e: e.search(
            SearchRequest("q", rules=Rules(caps=(Cap("attributes.note", 1),))))),
    ],
)  # fmt: skip
def test_an_attribute_that_is_stored_only_is_refused_by_path(shop, path, call):
    with pytest.raises(RequestError) as refused:
        call(shop.engine)
    assert (refused.value.field, refused.value.problem) == (
        path, "is stored only; give a field that is not in `stored_only`"
    )  # fmt: skip
