"""Filters, facets, groups and browsing through the engine."""

import datetime
from dataclasses import replace

import numpy as np
import pytest

from base.errors import RequestError
from bert.numerics import choose_numerics
from catalog.facets import Facet
from catalog.filters import And, Equals, Exists, Interval, Not, Prefix, Range
from search.engine import Engine
from search.request import EmbedRequest, RetrieveRequest, SearchRequest, SimilarItemsRequest
from tests import tiny

CHARGERS = Prefix("category", "Electronics > Chargers")
LARGE = Range("price", Interval(at_least=40.0))


def ids(result) -> list[str]:
    return [hit.item_id for hit in result.hits]


def of_filter(engine, passes) -> set[str]:
    items = (engine.store.item(row) for row in range(len(engine.store)))
    return {item.item_id for item in items if passes(item)}


@pytest.fixture(scope="module")
def grouped(tmp_path_factory, compilation_cache) -> Engine:
    """An engine of the tiny items, grouped by product; every sixth item is in no group."""
    items = [
        replace(item, group_id=None if row % 6 == 5 else item.item_id.rsplit("-", 1)[0])
        for row, item in enumerate(tiny.tiny_items())
    ]
    directory = tmp_path_factory.mktemp("grouped") / "bundle"
    tiny.write_bundle(directory, items, choose_numerics())
    return Engine.load(directory, tiny.BY_SCORE)


def test_only_items_that_pass_are_found_and_as_many_as_there_are(engine):
    expected = of_filter(engine, lambda item: item.item_id.startswith("Ch") and item.price >= 40)
    tree = And((CHARGERS, LARGE))
    result = engine.search(SearchRequest("usb c charger", page_size=100, filter=tree))
    assert set(ids(result)) == expected
    assert len(result.hits) == result.matched == result.recalled == result.reranked == 9
    assert not result.has_more
    assert set(ids(engine.retrieve(RetrieveRequest("hdmi", filter=tree)))) == expected
    names = [stage.name for stage in result.stages]
    assert names == ["filter", "encode", "recall", "features", "rerank"]
    assert [stage.plan for stage in result.stages] == ["", "", "scan", "", ""]


def test_a_filter_leaves_scores_and_order_as_they_are(engine):
    everything = engine.search(SearchRequest("usb c charger", page_size=48))
    filtered = engine.search(SearchRequest("usb c charger", page_size=48, filter=CHARGERS))
    expected = [hit for hit in everything.hits if hit.item_id.startswith("Ch")]
    assert ids(filtered) == [hit.item_id for hit in expected]
    np.testing.assert_allclose(
        [hit.rerank_score for hit in filtered.hits],
        [hit.rerank_score for hit in expected],
        atol=1e-4,
    )


def test_without_a_filter_nothing_says_how_many_match(engine):
    assert engine.search(SearchRequest("cable")).matched is None
    assert engine.retrieve(RetrieveRequest("cable")).matched is None


def test_a_vector_is_filtered_like_its_text(engine):
    vector = engine.embed(EmbedRequest(["hdmi cable"])).vectors[0]
    by_text = engine.retrieve(RetrieveRequest("hdmi cable", page_size=5, filter=CHARGERS))
    by_vector = engine.retrieve(RetrieveRequest(vector=vector, page_size=5, filter=CHARGERS))
    assert ids(by_text) == ids(by_vector)
    assert (by_text.has_more, by_text.matched) == (True, 24)
    assert [stage.name for stage in by_vector.stages] == ["filter", "recall"]


def test_a_filter_that_nothing_passes_finds_nothing(engine):
    nothing = Equals("brand", "nobody")
    for query in ("cable", ""):
        result = engine.search(
            SearchRequest(query, filter=nothing, facets=(Facet("brand"),), max_per_group=1)
        )
        assert (result.hits, result.matched, result.has_more) == ((), 0, False)
        assert result.facets[0].values == ()
    assert engine.retrieve(RetrieveRequest("cable", filter=nothing)).hits == ()


def test_browsing_goes_by_popularity_without_models(engine):
    result = engine.search(SearchRequest("  ", page_size=30, filter=CHARGERS))
    assert [stage.name for stage in result.stages] == ["filter", "browse"]
    assert (result.matched, result.recalled, result.reranked) == (24, 0, 0)
    counts = [engine.store.item(engine.store.row(name)).rating_count for name in ids(result)]
    assert counts == sorted(counts, reverse=True)
    assert [hit.score for hit in result.hits] == counts
    assert all(hit.channel_scores == {} for hit in result.hits)
    pages = [
        engine.search(SearchRequest("", page_size=7, offset=at, filter=CHARGERS))
        for at in range(0, 28, 7)
    ]
    assert [name for page in pages for name in ids(page)] == ids(result)
    assert [page.has_more for page in pages] == [True] * 3 + [False]


def test_facets_count_what_they_say(engine):
    facets = (Facet("brand", scope="matched"), Facet("brand"), Facet("price"))
    result = engine.search(
        SearchRequest("cable", page_size=1, recall_depth=10, filter=CHARGERS, facets=facets)
    )
    matched, recalled, price = result.facets
    assert dict(matched.values) == {"Voltix": 8, "Ampere": 8, "Ohm & Co": 8}
    assert (matched.scope, recalled.scope) == ("matched", "recalled")
    first = engine.search(SearchRequest("cable", page_size=10, rerank_depth=0, filter=CHARGERS))
    brands = [engine.store.item(engine.store.row(name)).brand for name in ids(first)]
    assert dict(recalled.values) == {brand: brands.count(brand) for brand in set(brands)}
    assert price.known_count == 10
    assert result.stages[-1].name == "facets"


def test_recalled_facets_are_the_same_on_every_page(engine):
    pages = [
        engine.search(
            SearchRequest(
                "cable", page_size=5, offset=at, recall_depth=10, facets=(Facet("brand"),)
            )
        )
        for at in (0, 5, 20)
    ]
    assert pages[0].facets == pages[1].facets == pages[2].facets


def test_facets_without_a_filter_count_the_whole_catalogue_when_asked_to(engine):
    [found] = engine.search(
        SearchRequest("cable", facets=(Facet("brand", scope="matched"),))
    ).facets
    assert found.known_count == 48


def test_facets_of_browsing_count_what_matched(engine):
    [found] = engine.search(
        SearchRequest("", filter=CHARGERS, page_size=1, facets=(Facet("brand"),))
    ).facets
    assert (found.scope, found.known_count) == ("matched", 24)


@pytest.mark.parametrize("query", ["usb c charger", ""])
@pytest.mark.parametrize("most", [1, 2])
def test_a_group_is_shown_so_often_at_most_over_all_pages(grouped, query, most):
    options = {"filter": Exists("price"), "max_per_group": most}
    whole = grouped.search(SearchRequest(query, page_size=100, **options))
    pages = [
        grouped.search(SearchRequest(query, page_size=5, offset=at, **options))
        for at in range(0, 50, 5)
    ]
    assert [name for page in pages for name in ids(page)] == ids(whole)
    groups = [grouped.store.item(grouped.store.row(name)).group_id for name in ids(whole)]
    assert groups.count(None) == 8
    # Each group has two or three items, so every group reaches the maximum.
    assert all(groups.count(group) == most for group in set(groups) - {None})
    uncapped = ids(grouped.search(SearchRequest(query, page_size=100, filter=Exists("price"))))
    assert [name for name in uncapped if name in set(ids(whole))] == ids(whole)
    scores = [hit.score for hit in whole.hits]
    assert scores == sorted(scores, reverse=True)


def test_large_groups_are_looked_behind(grouped):
    parts = (grouped.directory, grouped.manifest, grouped.config, grouped.models)
    shallow = Engine(*parts, deepest=6)
    whole = shallow.search(
        SearchRequest(
            "usb c charger", page_size=48, recall_depth=5, max_per_group=1, rerank_depth=2
        )
    )
    few = shallow.search(
        SearchRequest("usb c charger", page_size=4, recall_depth=5, max_per_group=1, rerank_depth=2)
    )
    assert ids(few) == ids(whole)[:4]
    later = shallow.search(
        SearchRequest(
            "usb c charger", page_size=4, offset=12, recall_depth=5, max_per_group=1, rerank_depth=2
        )
    )
    assert ids(later) == ids(whole)[12:16]
    assert len(whole.hits) == 24


def test_searches_compile_nothing_more_with_filters(engine):
    engine.warm_up()
    compiled = engine.compilations
    engine.search(
        SearchRequest("cable", filter=Not(CHARGERS), facets=(Facet("price"),), max_per_group=1)
    )
    assert engine.compilations == compiled


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"filter": Not(Equals("colour", "red"))}, "filter.not_filter.equals.field"),
        ({"filter": Equals("released", 3)}, "filter.equals.value"),
        ({"facets": (Facet("brand"), Facet("title"))}, "facets[1].field"),
        ({"facets": (Facet("brand"),) * 21}, "facets"),
        ({"max_per_group": -1}, "max_per_group"),
        ({"max_per_group": 101}, "max_per_group"),
    ],
)
def test_what_cannot_be_selected_is_refused_by_field(engine, options, field):
    with pytest.raises(RequestError) as refused:
        engine.search(SearchRequest("cable", **options))
    assert refused.value.field == field


def test_an_empty_query_needs_a_filter_to_browse_by(engine):
    with pytest.raises(RequestError, match="query: is empty"):
        engine.search(SearchRequest("", facets=(Facet("brand"),)))
    with pytest.raises(RequestError, match="query: is empty"):
        engine.retrieve(RetrieveRequest("", filter=CHARGERS))


def test_dates_select(engine):
    day = datetime.date(2024, 1, 10)
    found = engine.search(
        SearchRequest("cable", page_size=100, filter=Range("released", Interval(below=day)))
    )
    assert set(ids(found)) == of_filter(engine, lambda item: item.released < day)


def test_similar_items_leave_out_variants_on_request(grouped):
    store = grouped.store
    variants = {i for i in store.ids if i.rsplit("-", 1)[0] == "Ch-10"}
    grouped_ids = {i for i in variants if store.item(store.row(i)).group_id}
    chosen = min(grouped_ids)
    assert len(grouped_ids) > 1
    everything = {*ids(grouped.similar(SimilarItemsRequest(chosen, page_size=100)))}
    assert everything == {*store.ids} - {chosen}
    others = {
        *ids(grouped.similar(SimilarItemsRequest(chosen, page_size=100, exclude_variants=True)))
    }
    assert others == {*store.ids} - grouped_ids
    alone = next(i for i in store.ids if not store.item(store.row(i)).group_id)
    assert {
        *ids(grouped.similar(SimilarItemsRequest(alone, page_size=100, exclude_variants=True)))
    } == {*store.ids} - {alone}
