"""Exploration in a search and in recommendations."""

from dataclasses import replace
from pathlib import Path

import pytest

from behaviour.events import Event
from behaviour.feedback import Feedback
from behaviour.log.event_log import EventLog
from catalog.filters import Equals
from search.engine import Engine
from search.exploration.request import Exploration, Method
from search.people.live import LivePeople
from search.people.person import Recommending, Surface
from search.request import SearchRequest
from search.rules import Cap, Pin, Rules
from tests.search.pipeline.ruled import CHARGERS, QUERY, VOLTIX, ids
from tests.tiny import BY_SCORE, tiny_items

GREEDY, THOMPSON = Method.EPSILON_GREEDY, Method.THOMPSON_SAMPLING


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Engine:
    return Engine.load(tiny_bundle, BY_SCORE)


def search(engine, seed=1, share=0.2, method=GREEDY, people=None, **fields):
    exploration = Exploration(method, share, seed)
    request = SearchRequest(QUERY, exploration=exploration, **fields)
    return engine.search(request, people=people)


def explored(result) -> list[int]:
    return [position for position, hit in enumerate(result.hits) if hit.exploring]


def test_a_bounded_share_of_positions_explores_and_the_seed_decides_which(engine):
    plain = engine.search(SearchRequest(QUERY, page_size=20))
    assert {hit.propensity for hit in plain.hits} == {None}
    found = [search(engine, seed, page_size=20) for seed in range(5)]
    assert ids(search(engine, 0, page_size=20)) == ids(found[0])
    assert len({tuple(ids(result)) for result in found}) == 5
    for result in found:
        assert len(explored(result)) == 4
        moved = [at for at, item in enumerate(ids(result)) if item != ids(plain)[at]]
        assert set(explored(result)) <= set(moved)
        assert len(moved) <= 8
        assert all(0 < hit.propensity <= 1 for hit in result.hits)


def test_pages_are_parts_of_one_list(engine):
    whole = search(engine, page_size=24)
    pages = [search(engine, page_size=8, offset=offset) for offset in (0, 8, 16)]
    together = [hit for page in pages for hit in page.hits]
    assert [hit.item_id for hit in together] == ids(whole)
    assert [hit.propensity for hit in together] == [hit.propensity for hit in whole.hits]


def test_the_share_of_the_server_is_the_largest(tiny_bundle, engine):
    less = Engine.load(tiny_bundle, replace(BY_SCORE, max_exploration=0.1))
    assert len(explored(search(less, share=1.0, page_size=20))) == 2
    off = Engine.load(tiny_bundle, replace(BY_SCORE, max_exploration=0.0))
    result = search(off, share=1.0, page_size=20)
    assert ids(result) == ids(engine.search(SearchRequest(QUERY, page_size=20)))
    assert result.hits[0].propensity is None


def test_rules_and_filters_apply_to_items_that_exploration_shows(engine):
    items = {item.item_id: item for item in tiny_items()}
    last = engine.search(SearchRequest(QUERY, page_size=40)).hits[-1].item_id
    rules = Rules(excluded=VOLTIX, caps=(Cap("brand", 3),), pins=(Pin(last, 1),))
    for seed in range(20):
        result = search(engine, seed, page_size=5, filter=CHARGERS, rules=rules)
        assert ids(search(engine, seed, page_size=5, rules=rules))[0] == last
        brands = [items[item].brand for item in ids(result)]
        assert "Voltix" not in brands
        assert max(map(brands.count, brands)) <= 3
        assert {items[item].category for item in ids(result)} == {"Electronics > Chargers"}


def test_pins_keep_their_positions_with_propensity_1(engine):
    last = engine.search(SearchRequest(QUERY, page_size=40)).hits[-1].item_id
    for seed in range(20):
        [first, *_] = search(engine, seed, share=0.2, rules=Rules(pins=(Pin(last, 1),))).hits
        assert (first.item_id, first.exploring, first.propensity) == (last, False, 1.0)


def test_items_out_of_stock_are_not_drawn(tiny_bundle):
    engine = Engine.load(tiny_bundle, replace(BY_SCORE, ignore_stock=False))
    out = {item.item_id for item in tiny_items() if item.in_stock is False}
    assert out
    for seed in range(20):
        hits = search(engine, seed, page_size=20).hits
        assert not {hit.item_id for hit in hits if hit.exploring} & out


def test_thompson_sampling_tries_items_that_were_seldom_shown(engine, tmp_path):
    """All items but one have a hundred impressions, of which five were clicked."""
    order = ids(engine.search(SearchRequest(QUERY, page_size=24, filter=CHARGERS)))
    new = order[15]
    events = [
        Event(f"{item}-{n}", 1_000_000, kind, item, query=QUERY, position=1)
        for item in order
        if item != new
        for n, kind in enumerate(["impression"] * 100 + ["click"] * 5)
    ]
    feedback = Feedback(EventLog.open(tmp_path), clock=lambda: 1.0)
    for start in range(0, len(events), 1_000):
        recorded = feedback.record(events[start : start + 1_000])
        assert recorded is not None
        recorded.result()
    drawn = {"before": 0, "after": 0}
    for name, people in (("before", None), ("after", LivePeople(feedback))):
        for seed in range(50):
            result = search(
                engine, seed, method=THOMPSON, people=people, filter=CHARGERS, page_size=5
            )
            drawn[name] += new in [hit.item_id for hit in result.hits if hit.exploring]
    feedback.close()
    assert drawn["after"] > drawn["before"] + 3


def test_recommendations_and_browsing_explore(people_bundle):
    engine = Engine.load(people_bundle, BY_SCORE)
    for request in (
        SearchRequest(recommending=Recommending(Surface.HOME)),
        SearchRequest(filter=Equals("brand", "Voltix")),
    ):
        plain = ids(engine.search(request))
        lists = []
        for method in Method:
            explored_request = replace(request, exploration=Exploration(method, 0.2, 5))
            result = engine.search(explored_request)
            assert len(explored(result)) == 2
            lists.append(ids(result))
        assert all(found != plain for found in lists)
