"""Promotions: items that are shown higher while their budget lasts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from behaviour.events import DAY, Event
from behaviour.feedback import Feedback
from behaviour.log.event_log import EventLog
from search.engine import Engine
from search.exploration.request import Exploration, Method
from search.people.live import LivePeople
from search.people.person import Person, Recommending, Surface
from search.request import SearchRequest
from search.rules import Cap, Effect, Pin, Promotion, Rules
from tests.shoppers import MICROSECONDS
from tests.tiny import BY_SCORE

TODAY = MICROSECONDS - MICROSECONDS % DAY
NOON = TODAY + DAY // 2


@pytest.fixture(scope="module")
def engine(people_bundle: Path) -> Engine:
    return Engine.load(people_bundle, BY_SCORE)


@pytest.fixture
def feedback(tmp_path: Path) -> Iterator[Feedback]:
    feedback = Feedback(EventLog.open(tmp_path), clock=lambda: (TODAY + DAY) / 1e6)
    yield feedback
    feedback.close()


def ids(result) -> list[str]:
    return [hit.item_id for hit in result.hits]


def request_for(*promotions: Promotion, now: int = NOON, share: float = 0.2, **fields):
    rules = replace(fields.pop("rules", Rules()), promotions=promotions, promoted_share=share)
    return SearchRequest(
        recommending=Recommending(Surface.HOME), person=Person(now=now), rules=rules, **fields
    )


def promotion(*item_ids: str, **fields) -> Promotion:
    return Promotion(
        **{
            "promotion_id": "ads",
            "item_ids": item_ids,
            "daily_budget": 100.0,
            "min_relevance": 0.0,
            **fields,
        }
    )


def promoted(result) -> dict[int, str]:
    return {n: hit.item_id for n, hit in enumerate(result.hits, start=1) if hit.promotion_id}


def test_a_promoted_item_has_the_first_position_of_a_block_and_is_marked(engine, feedback):
    people = LivePeople(feedback)
    plain = ids(engine.search(request_for(page_size=48)))
    request = request_for(promotion(plain[20], plain[30], plain[6]), page_size=48)
    result = engine.search(request, people=people)
    assert promoted(result) == {1: plain[6], 6: plain[20], 11: plain[30]}
    others = [hit.item_id for hit in result.hits if not hit.promotion_id]
    assert others == [item for item in plain if item not in promoted(result).values()]
    [adjustment] = result.hits[5].adjustments
    assert (adjustment.rule, adjustment.effect) == ("promotions[0]", Effect.PROMOTED)
    assert adjustment.to_position == 6
    [report] = [report for report in result.rules if report.rule == "promotions[0]"]
    assert report.affected_count == 3


def test_an_item_that_ranks_there_anyway_is_not_promoted(engine, feedback):
    plain = ids(engine.search(request_for()))
    result = engine.search(request_for(promotion(plain[0])), people=LivePeople(feedback))
    assert promoted(result) == {}
    assert ids(result) == plain


def test_items_below_the_floor_are_not_promoted(engine, feedback):
    hits = engine.search(request_for(page_size=48)).hits
    floor = hits[2].score / hits[0].score
    above, below = hits[2].item_id, hits[-1].item_id
    assert hits[-1].score < 0.9 * hits[2].score
    request = request_for(promotion(above, below, min_relevance=0.99 * floor))
    assert promoted(engine.search(request, people=LivePeople(feedback))) == {1: above}


def test_filters_caps_and_pins_come_first(engine, feedback):
    people = LivePeople(feedback)
    plain = engine.search(request_for(page_size=48)).hits
    item, pinned = plain[20].item_id, plain[40].item_id
    brand = plain[20].item.brand
    of_brand = [hit.item_id for hit in plain if hit.item.brand == brand]
    capped = Rules(caps=(Cap("brand", 1),))
    result = engine.search(request_for(promotion(*of_brand), rules=capped), people=people)
    brands = [hit.item.brand for hit in result.hits]
    assert max(map(brands.count, brands)) == 1
    excluded = Rules(excluded_item_ids=(item,))
    result = engine.search(request_for(promotion(item), rules=excluded), people=people)
    assert promoted(result) == {}
    pins = Rules(pins=(Pin(pinned, 1), Pin(plain[41].item_id, 4)))
    result = engine.search(request_for(promotion(item), rules=pins), people=people)
    assert ids(result)[0] == pinned
    assert ids(result)[3] == plain[41].item_id
    assert promoted(result) == {2: item}


def test_exploration_does_not_move_a_promoted_item(engine, feedback):
    plain = ids(engine.search(request_for(page_size=48)))
    for seed in range(10):
        exploration = Exploration(Method.EPSILON_GREEDY, 0.2, seed)
        request = request_for(promotion(plain[20]), exploration=exploration)
        result = engine.search(request, people=LivePeople(feedback))
        assert promoted(result) == {1: plain[20]}
        assert result.hits[0].propensity == 1.0


def test_without_a_log_and_with_a_spent_budget_nothing_is_promoted(engine, feedback):
    item = ids(engine.search(request_for(page_size=48)))[20]
    assert promoted(engine.search(request_for(promotion(item)))) == {}
    request = request_for(promotion(item, daily_budget=10.0, cost=2.0))
    clicks = [
        Event(f"{n}", NOON - 1, "click", item, position=1, promotion_id="ads") for n in range(3)
    ]
    people = LivePeople(feedback)
    for number, expected in ((2, {1: item}), (3, {})):
        recorded = feedback.record(clicks[:number])
        assert recorded is not None
        recorded.result()
        assert promoted(engine.search(request, people=people)) == expected
    later = request_for(promotion(item, daily_budget=10.0, cost=2.0), now=NOON + DAY // 4)
    assert promoted(engine.search(later, people=people)) == {1: item}


def test_later_pages_have_the_promotions_of_the_first(engine):
    plain = ids(engine.search(request_for(page_size=48)))
    request = request_for(promotion(plain[40]), page_size=5, offset=5)
    with_promotion = engine.search(replace(request, active_promotions=1))
    assert ids(with_promotion) == plain[4:9]
    assert with_promotion.active_promotions == 1
    assert ids(engine.search(replace(request, active_promotions=0))) == plain[5:10]


def test_the_spending_is_that_of_the_log_after_a_restart(tmp_path):
    event = Event("e", NOON, "click", "lamp", promotion_id="ads", user_id="u")
    for _ in range(2):
        feedback = Feedback.open(tmp_path)
        recorded = feedback.record([event])
        assert recorded is not None
        recorded.result()
        assert feedback.spending.count("ads", "click", NOON) == 1
        feedback.close()
    feedback = Feedback.open(tmp_path)
    feedback.erase_user("u").result()
    assert feedback.spending.count("ads", "click", NOON) == 0
    feedback.close()


def test_a_day_of_searches_spends_the_budget_and_never_below_the_floor(engine, feedback):
    """The day has more traffic in the evening. Impressions are recorded four searches late."""
    hits = engine.search(request_for(page_size=48)).hits
    scores = {hit.item_id: hit.score / hits[0].score for hit in hits}
    floor = scores[hits[4].item_id] - 1e-6
    items = [hits[n].item_id for n in (1, 2, 4, 25, 40)]
    ads = promotion(*items, charged="impression", daily_budget=100.0, min_relevance=floor)
    people, spent, shown = LivePeople(feedback), 0, set[str]()
    times = (TODAY + DAY * np.linspace(0.0, 1.0, 240, endpoint=False) ** 0.6).astype(np.int64)
    for step in np.split(times, 60):
        events: list[Event] = []
        for now in step.tolist():
            result = engine.search(request_for(ads, now=now, share=0.1), people=people)
            events += [
                Event(f"{now}", now, "impression", item, promotion_id="ads")
                for item in promoted(result).values()
            ]
        shown |= {event.item_id for event in events}
        spent += len(events)
        if events:
            recorded = feedback.record(events)
            assert recorded is not None
            recorded.result()
    assert 100 * 0.95 <= spent <= 100 * 1.05
    assert shown
    assert min(scores[item] for item in shown) >= floor
