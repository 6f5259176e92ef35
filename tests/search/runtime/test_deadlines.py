"""Work that is left out when time is short. Tests set the estimated times, so none waits."""

import time

import numpy as np
import pytest

from base.errors import RequestError
from catalog.facets import Facet
from catalog.filters import Equals, Prefix
from search.bundle import Manifest
from search.config import EngineConfig
from search.engine import Engine
from search.errors import DeadlineExceededError
from search.request import RerankRequest, RetrieveRequest, SearchRequest, SimilarItemsRequest
from search.result import Degradation, SearchResult
from search.rules import Boost, Cap, Pin, Rules
from search.runtime.batching import CallContext, call_scope
from search.runtime.deadline import DeadlineBudget, LatencyEstimates
from search.runtime.stage_timer import StageTimer
from tests.timing import Clock

QUERY = "usb c charger"
CHARGERS = Prefix("category", "Electronics > Chargers")
BRANDS = (Facet("brand"),)
RULES = Rules(
    excluded_item_ids=("Ch-65-voltix",),
    excluded=Equals("brand", "Ohm & Co"),
    boosts=(Boost(Equals("brand", "Ampere"), 0.5),),
    diversity=0.3,
    caps=(Cap("brand", 12),),
    pins=(Pin("Ca-1-voltix", 2), Pin("Ch-65-voltix", 4), Pin("Ca-5-ampere", 9)),
)


def ids(result: SearchResult) -> list[str]:
    return [hit.item_id for hit in result.hits]


@pytest.fixture
def estimates() -> LatencyEstimates:
    """The estimates of the engine `fresh`."""
    return LatencyEstimates()


@pytest.fixture
def fresh(tiny_bundle, estimates) -> Engine:
    """An engine without caches and with its own estimates of latency."""
    config = EngineConfig(cache_megabytes=0)
    return Engine(tiny_bundle, Manifest.read(tiny_bundle), config, estimates=estimates)


def price(engine: Engine, seconds: float, *, but: dict[int, float] | None = None) -> None:
    """Set the expected seconds of a reranker batch; `but` has other seconds by batch size."""
    assert engine.models.pairs is not None
    forward = engine.models.pairs.forward
    forward.programs.latencies.clear()
    for shape in forward.shapes:
        for _ in range(40):  # until the estimated deviation is near 0
            forward.measured(shape, (but or {}).get(shape[0], seconds))


def test_with_too_little_time_the_order_is_that_of_recall(fresh):
    price(fresh, 60.0)
    result = fresh.search(SearchRequest(QUERY, deadline=time.monotonic() + 30))
    assert result.degradations == (Degradation.RERANK_SKIPPED,)
    assert (result.reranked, result.rerank_target) == (0, 48)
    assert ids(result) == ids(fresh.search(SearchRequest(QUERY, rerank_depth=0)))
    assert all(hit.rerank_score is None for hit in result.hits)


def test_with_time_for_some_the_best_of_recall_are_reranked(fresh):
    # There is time for one full batch of 12 rows, but not for a second batch.
    price(fresh, 60.0, but={12: 0.1})
    result = fresh.search(SearchRequest(QUERY, page_size=48, deadline=time.monotonic() + 30))
    assert result.degradations == (Degradation.RERANK_SHORTENED,)
    assert 0 < result.reranked < result.rerank_target == 48
    shallow = fresh.search(SearchRequest(QUERY, page_size=48, rerank_depth=result.reranked))
    assert ids(result) == ids(shallow)
    np.testing.assert_allclose(
        [hit.score for hit in result.hits], [hit.score for hit in shallow.hits], atol=1e-4
    )


def test_time_is_shared_with_the_calls_that_wait(fresh):
    price(fresh, 1.0)
    deadline = time.monotonic() + 1_000
    for waiting, left_out in ((0, ()), (2_000, (Degradation.RERANK_SKIPPED,))):
        with call_scope(CallContext(deadline, waiting=lambda count=waiting: count)):
            result = fresh.search(SearchRequest(QUERY, deadline=deadline))
        assert result.degradations == left_out


@pytest.mark.parametrize("deadline", [None, 1000.0], ids=["none", "far"])
def test_with_time_enough_nothing_is_left_out(fresh, deadline):
    price(fresh, 10.0)
    until = None if deadline is None else time.monotonic() + deadline
    result = fresh.search(SearchRequest(QUERY, facets=BRANDS, deadline=until))
    assert result.degradations == ()
    assert result.reranked == result.rerank_target == 48
    assert len(result.facets) == 1


def test_rules_hold_for_an_order_that_there_was_no_time_for(fresh):
    price(fresh, 60.0)
    result = fresh.search(SearchRequest(QUERY, rules=RULES, deadline=time.monotonic() + 30))
    assert result.degradations == (Degradation.RERANK_SKIPPED,)
    assert (result.reranked, result.rerank_target) == (0, 31)
    expected = fresh.search(SearchRequest(QUERY, rules=RULES, rerank_depth=0))
    assert (result.hits, result.rules) == (expected.hits, expected.rules)


def test_rules_hold_for_an_order_of_which_there_was_time_for_some(fresh):
    price(fresh, 60.0, but={12: 0.1})
    options = {"rules": RULES, "rerank_depth": 24}
    result = fresh.search(
        SearchRequest(QUERY, page_size=48, **options, deadline=time.monotonic() + 30)
    )
    assert result.degradations == (Degradation.RERANK_SHORTENED,)
    assert 2 < result.reranked < result.rerank_target == 25  # 24 and a pinned item
    assert (ids(result)[1], ids(result)[8]) == ("Ca-1-voltix", "Ca-5-ampere")
    assert "Ch-65-voltix" not in ids(result)
    assert {hit.item.brand for hit in result.hits} == {"Voltix", "Ampere"}
    scored = [hit.item_id for hit in result.hits if hit.rerank_score is not None]
    assert {"Ca-1-voltix", "Ca-5-ampere"} <= set(scored)
    for hit in result.hits:
        changes = sum(adjustment.score_change for adjustment in hit.adjustments)
        assert hit.score == pytest.approx(hit.base_score + changes)


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7])
def test_pages_reranked_as_far_as_one_before_are_parts_of_one_list(fresh, most):
    options = {"rules": RULES, "rerank_limit": most}
    whole = fresh.search(SearchRequest(QUERY, page_size=48, **options))
    assert whole.reranked == whole.rerank_target == most
    pages = [
        fresh.search(SearchRequest(QUERY, page_size=5, offset=at, **options))
        for at in range(0, 25, 5)
    ]
    assert [name for page in pages for name in ids(page)] == ids(whole)
    assert [page.reranked for page in pages] == [most] * 5


def test_what_is_remembered_costs_nothing(tiny_bundle):
    engine = Engine.load(tiny_bundle)
    whole = engine.search(SearchRequest(QUERY))
    price(engine, 60.0)
    again = engine.search(SearchRequest(QUERY, deadline=time.monotonic() + 30))
    assert again.degradations == ()
    assert again.hits == whole.hits


def test_facets_are_left_out_only_when_there_is_no_time_for_them(fresh, estimates):
    for _ in range(40):
        estimates.add("facets", 60.0)
    for query in (QUERY, ""):
        near = fresh.search(
            SearchRequest(query, filter=CHARGERS, facets=BRANDS, deadline=time.monotonic() + 30)
        )
        assert near.degradations == (Degradation.FACETS_SKIPPED,)
        assert near.facets == ()
        assert near.reranked == near.rerank_target  # not shortened for facets
    far = fresh.search(SearchRequest(QUERY, facets=BRANDS, deadline=time.monotonic() + 1000))
    assert (far.degradations, len(far.facets)) == ((), 1)


def test_time_for_facets_is_kept_from_reranking(fresh, estimates):
    price(fresh, 60.0)
    for _ in range(40):
        estimates.add("facets", 60.0)
    result = fresh.search(SearchRequest(QUERY, facets=BRANDS, deadline=time.monotonic() + 100))
    assert result.degradations == (Degradation.RERANK_SKIPPED,)
    assert len(result.facets) == 1


def test_reranking_asked_for_by_name_of_a_bundle_without_is_said_to_be_left_out(recall_bundle):
    engine = Engine.load(recall_bundle)
    assert engine.search(SearchRequest(QUERY, rerank_depth=5)).degradations == (
        Degradation.RERANK_UNAVAILABLE,
    )
    assert engine.search(SearchRequest(QUERY)).degradations == ()
    assert engine.search(SearchRequest(QUERY, rerank_depth=0)).degradations == ()


def test_rerank_alone_leaves_nothing_out(fresh):
    price(fresh, 60.0)
    items = [hit.item_id for hit in fresh.retrieve(RetrieveRequest(QUERY, page_size=5)).hits]
    assert len(fresh.rerank(RerankRequest(QUERY, items, deadline=time.monotonic() + 30)).hits) == 5


def test_time_is_kept_back_for_the_answer(estimates):
    clock, nothing = Clock(), LatencyEstimates()
    deadline = clock() + 1000
    assert DeadlineBudget(deadline, nothing, 5.0, clock=clock).left() == 850
    assert DeadlineBudget(deadline, nothing, 300.0, clock=clock).left() == 700
    # The estimate of a page is 200 s: the mean of 100, and two deviations of 50.
    estimates.add("page", 100.0)
    budget = DeadlineBudget(deadline, estimates, clock=clock)
    assert budget.left("page", "facets") == pytest.approx(650, abs=0.1)
    clock.advance(600)
    assert budget.left("page", "facets") == pytest.approx(50, abs=0.1)
    assert DeadlineBudget(None, estimates, clock=clock).left("page") == float("inf")
    whole = DeadlineBudget(deadline, estimates, has_optional_work=False, clock=clock)
    assert whole.left("page") == float("inf")
    whole.check()
    clock.advance(400)
    with pytest.raises(DeadlineExceededError):
        whole.check()


def test_the_page_of_recall_comes_before_the_reranked_one(engine):
    pages: list[SearchResult] = []
    last = engine.search(SearchRequest(QUERY, page_size=7, offset=3, facets=BRANDS), pages.append)
    [first] = pages
    assert ids(first) == ids(
        engine.search(SearchRequest(QUERY, page_size=7, offset=3, rerank_depth=0))
    )
    assert (first.reranked, first.recalled) == (0, last.recalled)
    assert [stage.name for stage in first.stages] == ["encode", "recall"]
    plain = engine.search(SearchRequest(QUERY, page_size=7, offset=3, facets=BRANDS))
    assert (last.hits, last.facets) == (plain.hits, plain.facets)


def test_the_page_of_recall_obeys_the_rules_too(engine):
    pages: list[SearchResult] = []
    last = engine.search(SearchRequest(QUERY, page_size=7, offset=1, rules=RULES), pages.append)
    [first] = pages
    plain = engine.search(SearchRequest(QUERY, page_size=7, offset=1, rules=RULES, rerank_depth=0))
    assert (first.hits, first.rules, first.recalled) == (plain.hits, plain.rules, plain.recalled)
    assert ids(first)[0] == ids(last)[0] == "Ca-1-voltix"
    names = [stage.name for stage in first.stages]
    assert names == ["rules", "encode", "recall", "rules"]
    whole = engine.search(SearchRequest(QUERY, page_size=7, offset=1, rules=RULES))
    assert (last.hits, last.rules) == (whole.hits, whole.rules)


def test_where_nothing_is_reranked_there_is_no_page_before(engine):
    pages: list[SearchResult] = []
    engine.search(SearchRequest(QUERY, rerank_depth=0), pages.append)
    engine.search(SearchRequest("", filter=CHARGERS), pages.append)
    assert pages == []


def test_who_leaves_after_the_first_page_costs_nothing_more(fresh):
    caller = CallContext()
    before = fresh.cache_reports()["pairs"].misses
    with call_scope(caller), pytest.raises(DeadlineExceededError, match="nobody waits"):
        fresh.search(SearchRequest(QUERY), lambda _: caller.cancel())
    assert fresh.cache_reports()["pairs"].misses == before


def test_a_part_of_a_call_is_dropped_early_and_with_its_caller():
    clock = Clock()
    whole = CallContext(clock() + 100, clock=clock)
    part = CallContext(clock() + 50, parent=whole, clock=clock)
    assert part.expired(50.0)
    assert not part.expired(49.0)
    assert not whole.expired(50.0)
    assert CallContext(None, parent=whole).expired(120.0)
    assert not part.cancelled
    whole.cancel()
    assert part.cancelled


def test_negative_time_for_the_answer_is_refused():
    with pytest.raises(Exception, match="answer_milliseconds is -1"):
        EngineConfig(answer_milliseconds=-1)


# ---- similar items


def test_similar_items_are_the_nearest_of_the_others(engine):
    item_id = engine.store.ids[5]
    vectors = np.stack([engine.snapshot.channels.vector(row) for row in range(len(engine.store))])
    cosines = vectors @ vectors[5]
    cosines[5] = -2
    expected = np.sort(cosines)[::-1][:9]
    result = engine.similar(SimilarItemsRequest(item_id, page_size=9))
    assert item_id not in ids(result)
    np.testing.assert_allclose([hit.score for hit in result.hits], expected, atol=1e-5)
    for hit in result.hits:
        assert hit.score == pytest.approx(cosines[engine.store.row(hit.item_id)], abs=1e-5)
        assert hit.item == engine.store.item(engine.store.row(hit.item_id))


def test_similar_items_pass_the_filter_which_the_item_need_not(engine):
    cable = next(i for i in engine.store.ids if i.startswith("Ca"))
    result = engine.similar(SimilarItemsRequest(cable, page_size=100, filter=CHARGERS))
    assert sorted(ids(result)) == sorted(i for i in engine.store.ids if i.startswith("Ch"))


@pytest.mark.parametrize(("item_id", "limit", "field"), [("", 1, "item_id"), ("x", 0, "page_size")])
def test_similar_refuses_what_it_cannot_use(engine, item_id, limit, field):
    with pytest.raises(RequestError) as refused:
        engine.similar(SimilarItemsRequest(item_id, page_size=limit))
    assert refused.value.field == field


def test_who_gives_up_says_what_was_done(fresh):
    caller = CallContext()
    with call_scope(caller), pytest.raises(DeadlineExceededError) as given_up:
        fresh.search(SearchRequest(QUERY), lambda _: caller.cancel())
    stages = given_up.value.stages
    assert [stage.name for stage in stages] == ["encode", "recall"]
    assert stages[-1].candidates == 48


def test_the_stage_that_was_given_up_is_told_too():
    estimates = LatencyEstimates()
    timer = StageTimer(DeadlineBudget(None, estimates), estimates)
    with timer.stage("first", 3):
        pass
    with pytest.raises(DeadlineExceededError) as given_up, timer.stage("second", 3):
        raise DeadlineExceededError("too late")
    assert [(stage.name, stage.candidates) for stage in given_up.value.stages] == [
        ("first", 3),
        ("second", 0),
    ]
    assert [stage.name for stage in timer.reports] == ["first"]
