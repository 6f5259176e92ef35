"""Rules in searches of an engine: each kind by itself, and invalid rules."""

from collections import Counter

import numpy as np
import pytest

from catalog.facets import Facet
from catalog.filters import Equals, Exists, Interval, Range
from search.engine import Engine
from search.request import SearchRequest
from search.rules import Adjustment, Boost, Cap, Effect, Pin, Rules
from tests.search.pipeline.ruled import CHARGERS, QUERY, VOLTIX, ids, report, without_times

# ---- none


@pytest.mark.parametrize("options", [{}, {"filter": CHARGERS}, {"offset": 30, "page_size": 20}])
def test_without_rules_nothing_is_otherwise(engine, options):
    engine.search(SearchRequest(QUERY))  # fills the caches
    expected = engine.search(SearchRequest(QUERY, **options))
    given_none = engine.search(SearchRequest(QUERY, **options, rules=Rules()))
    assert without_times(given_none) == without_times(
        engine.search(SearchRequest(QUERY, **options))
    )
    assert all(hit.base_score is None and hit.adjustments == () for hit in expected.hits)
    assert (expected.rules, given_none.rules) == ((), ())
    assert "rules" not in {stage.name for stage in given_none.stages}


@pytest.mark.parametrize("query", [QUERY, ""])
def test_rules_that_touch_nothing_leave_list_and_scores_as_they_are(ruled, query):
    plain = ruled.search(SearchRequest(query, page_size=48, filter=Exists("price")))
    idle = Rules(
        excluded_item_ids=("no such item",),
        boosts=(Boost(Equals("brand", "nobody"), 3.0),),
        caps=(Cap("brand", 100),),
        pins=(Pin("no such item", 1),),
    )
    result = ruled.search(SearchRequest(query, page_size=48, filter=Exists("price"), rules=idle))
    assert ids(result) == ids(plain)
    scores = [hit.score for hit in plain.hits]
    np.testing.assert_allclose(
        [hit.score for hit in result.hits], scores if query else np.log1p(scores), atol=1e-5
    )
    assert [hit.base_score for hit in result.hits] == [hit.score for hit in result.hits]
    assert all(hit.adjustments == () for hit in result.hits)
    assert {report.affected_count for report in result.rules} == {0}
    assert result.matched == plain.matched == 48


# ---- one at a time


@pytest.mark.parametrize("query", [QUERY, ""])
def test_what_is_excluded_never_appears_nor_counts(ruled, query):
    first = ids(ruled.search(SearchRequest(query, page_size=2, filter=CHARGERS)))
    rules = Rules(excluded_item_ids=(first[0], "no such item"), excluded=VOLTIX)
    result = ruled.search(
        SearchRequest(
            query,
            page_size=48,
            filter=CHARGERS,
            facets=(Facet("brand", scope="matched"),),
            rules=rules,
        )
    )
    brands = {hit.item.brand for hit in result.hits}
    assert brands == {"Ampere", "Ohm & Co"}
    assert first[0] not in ids(result)
    left = 24 - 8 - (not first[0].endswith("voltix"))
    assert result.matched == len(result.hits) == left == result.facets[0].known_count
    assert report(result, "excluded_item_ids").affected_count == 1
    assert report(result, "excluded").affected_count == 8


def test_exclusions_without_a_filter_say_nothing_of_matches_and_count_in_facets(ruled):
    facets = (Facet("brand", scope="matched"),)
    result = ruled.search(
        SearchRequest(QUERY, page_size=48, facets=facets, rules=Rules(excluded=VOLTIX))
    )
    assert (result.matched, len(result.hits), result.facets[0].known_count) == (None, 32, 32)


def test_boosts_add_up_and_sort_the_list_anew(ruled):
    plain = {hit.item_id: hit for hit in ruled.search(SearchRequest(QUERY, page_size=48)).hits}
    boosts = (Boost(VOLTIX, 0.75), Boost(CHARGERS, 0.5), Boost(Equals("brand", "Ampere"), -2.0))
    result = ruled.search(SearchRequest(QUERY, page_size=48, rules=Rules(boosts=boosts)))
    assert sorted(ids(result)) == sorted(plain)
    for hit in result.hits:
        changes = [0.75] if hit.item.brand == "Voltix" else []
        changes += [0.5] if hit.item_id.startswith("Ch") else []
        changes += [-2.0] if hit.item.brand == "Ampere" else []
        assert [a.score_change for a in hit.adjustments] == changes
        assert hit.base_score == pytest.approx(plain[hit.item_id].score, abs=1e-5)
        assert hit.score == pytest.approx(hit.base_score + sum(changes))
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert [report.affected_count for report in result.rules] == [16, 24, 16]


def test_boosts_reach_what_was_recalled_and_leave_what_lies_behind(ruled):
    plain = ruled.search(SearchRequest(QUERY, page_size=48, recall_depth=10, rerank_depth=4))
    rules = Rules(boosts=(Boost(VOLTIX, -10.0),))
    result = ruled.search(
        SearchRequest(QUERY, page_size=48, recall_depth=10, rerank_depth=4, rules=rules)
    )
    assert sorted(ids(result)[:10]) == sorted(ids(plain)[:10])
    assert ids(result)[10:] == ids(plain)[10:]
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    for hit in result.hits[10:]:
        assert (hit.adjustments, hit.base_score) == ((), hit.score)


def test_diversity_re_orders_the_head_alone_and_says_what_it_moved(ruled):
    plain = ruled.search(SearchRequest(QUERY, page_size=48, rerank_depth=12))
    result = ruled.search(
        SearchRequest(QUERY, page_size=48, rerank_depth=12, rules=Rules(diversity=0.8))
    )
    assert ids(result)[0] == ids(plain)[0]
    assert sorted(ids(result)[:12]) == sorted(ids(plain)[:12])
    assert ids(result)[:12] != ids(plain)[:12]
    assert ids(result)[12:] == ids(plain)[12:]
    moved = 0
    for position, hit in enumerate(result.hits, start=1):
        before = ids(plain).index(hit.item_id) + 1
        expected = Adjustment("diversity", Effect.DIVERSIFIED, 0.0, before, position)
        assert hit.adjustments == ((expected,) if before != position else ())
        moved += before != position
    assert report(result, "diversity").affected_count == moved


def test_diversity_works_on_recall_alone_too(ruled):
    plain = ruled.search(SearchRequest(QUERY, page_size=48, rerank_depth=0))
    result = ruled.search(
        SearchRequest(QUERY, page_size=48, rerank_depth=0, rules=Rules(diversity=0.9))
    )
    assert sorted(ids(result)) == sorted(ids(plain))
    assert ids(result) != ids(plain)

    def alike(result):
        vectors = ruled.snapshot.channels.vectors(ruled.snapshot.catalogue.rows(ids(result)[:8]))
        return (vectors @ vectors.T).sum()

    assert alike(result) < alike(plain)


@pytest.mark.parametrize("query", [QUERY, ""])
@pytest.mark.parametrize(
    ("cap", "value"),
    [
        (Cap("brand", 2), lambda item: item.brand),
        (Cap("category", 3, category_level=1), lambda item: item.category.split(" > ")[0]),
        (Cap("category", 3), lambda item: item.category),
        (Cap("attributes.colour", 2), lambda item: item.attributes.get("colour")),
        (Cap("group_id", 1), lambda item: item.group_id),
    ],
)
def test_a_cap_leaves_so_many_of_a_value_and_the_best(ruled, query, cap, value):
    everything = Exists("price")
    plain = ruled.search(SearchRequest(query, page_size=48, filter=everything))
    seen: Counter = Counter()
    expected = []
    for hit in plain.hits:
        seen[value(hit.item)] += 1
        if value(hit.item) is None or seen[value(hit.item)] <= cap.max_results:
            expected.append(hit.item_id)
    result = ruled.search(
        SearchRequest(query, page_size=48, filter=everything, rules=Rules(caps=(cap,)))
    )
    assert ids(result) == expected
    assert report(result, "caps[0]").affected_count == 48 - len(expected)
    first = ruled.search(
        SearchRequest(query, page_size=2, filter=everything, rules=Rules(caps=(cap,)))
    )
    assert (ids(first), first.has_more) == (expected[:2], len(expected) > 2)


def test_a_cap_of_groups_is_what_max_per_group_is(ruled):
    capped = ruled.search(
        SearchRequest(QUERY, page_size=48, rules=Rules(caps=(Cap("group_id", 1),)))
    )
    asked = ruled.search(SearchRequest(QUERY, page_size=48, max_per_group=1))
    assert ids(capped) == ids(asked)
    other = Rules(boosts=(Boost(Equals("brand", "nobody"), 1.0),), caps=(Cap("brand", 100),))
    both = ruled.search(SearchRequest(QUERY, page_size=48, max_per_group=1, rules=other))
    assert ids(both) == ids(asked)
    assert [(report.rule, report.affected_count) for report in both.rules] == [
        ("boosts[0]", 0),
        ("caps[0]", 0),
        ("max_per_group", 48 - len(asked.hits)),
    ]


def test_caps_are_looked_behind_for_full_pages(ruled):
    shallow = Engine(ruled.directory, ruled.manifest, ruled.config, ruled.models, deepest=6)
    rules = Rules(caps=(Cap("group_id", 1), Cap("brand", 6)), boosts=(Boost(VOLTIX, 1.0),))
    options = {"recall_depth": 5, "rerank_depth": 2, "rules": rules}
    whole = shallow.search(SearchRequest(QUERY, page_size=48, **options))
    assert len(whole.hits) == 18
    pages = [
        shallow.search(SearchRequest(QUERY, page_size=4, offset=at, **options))
        for at in range(0, 20, 4)
    ]
    assert [name for page in pages for name in ids(page)] == ids(whole)
    assert [page.has_more for page in pages] == [True] * 4 + [False]


def test_browsing_counts_a_boost_against_the_logarithm_of_ratings(ruled):
    # Without a query, the score is ln(1 + ratings): 4.19 for 65 ratings, 4.62 for 100. A boost of
    # 1 lifts an item with 65 ratings above one with 100; a boost of 0.4 does not.
    options = {"filter": CHARGERS, "page_size": 6}
    large = Range("rating_count", Interval(at_least=65, at_most=65))
    weak = ruled.search(SearchRequest("", **options, rules=Rules(boosts=(Boost(large, 0.4),))))
    strong = ruled.search(SearchRequest("", **options, rules=Rules(boosts=(Boost(large, 1.0),))))
    assert [hit.item.rating_count for hit in weak.hits] == [100] * 3 + [65] * 3
    assert [hit.item.rating_count for hit in strong.hits] == [65] * 3 + [100] * 3
    assert strong.hits[0].score == pytest.approx(np.log(66) + 1)
    assert strong.hits[0].base_score == pytest.approx(np.log(66))
    assert [stage.name for stage in strong.stages] == ["filter", "rules", "browse", "rules"]


def test_rules_compile_nothing_more(ruled):
    ruled.warm_up()
    compiled = ruled.compilations
    rules = Rules(
        excluded=VOLTIX, diversity=0.5, caps=(Cap("brand", 3),), pins=(Pin("Ca-1-ampere", 2),)
    )
    ruled.search(SearchRequest("hdmi cable", rules=rules, rerank_depth=7))
    assert ruled.compilations == compiled
