"""Histories: which items matter, and how much."""

import numpy as np
import pytest

from base.errors import RequestError
from behaviour.events import DAY
from behaviour.histories import PastEvent
from catalog.catalogue import Catalogue
from catalog.store import ItemStore
from search.people.history import History
from search.people.person import PRESENT, Person, Recommending, Surface, check_context
from search.request import SearchRequest
from tests.tiny import tiny_items

NOW = 1_000 * DAY


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.of(ItemStore.of(tiny_items()[:4]))


def event(item: int | str, kind: str, days_ago: float = 0.0) -> PastEvent:
    item_id = item if isinstance(item, str) else tiny_items()[item].item_id
    return PastEvent(int(NOW - days_ago * DAY), 0, kind, item_id)


def weights(history: History) -> dict[int, float]:
    interests = history.interests
    return dict(zip(interests.rows.tolist(), interests.weights.tolist(), strict=True))


def test_events_count_by_type_and_lose_half_of_their_weight_with_each_half_life(catalogue):
    events = [
        event(0, "purchase"),
        event(1, "purchase", days_ago=120),
        event(2, "view", days_ago=14),
        event(3, "impression"),
        event("unknown", "purchase"),
    ]
    history = History.of(events, catalogue, NOW)
    assert weights(history) == pytest.approx({0: 1.0, 1: 0.5, 2: 0.3 / 4})
    assert history.interests.rows.tolist() == [0, 1, 2]  # the most important first


def test_the_strongest_event_of_an_item_counts(catalogue):
    events = [event(0, "view"), event(0, "add_to_cart"), event(0, "view")]
    assert weights(History.of(events, catalogue, NOW)) == pytest.approx({0: 0.7})


def test_a_return_takes_back_the_earlier_events_with_the_item(catalogue):
    events = [
        event(0, "purchase", 3),
        event(0, "return", 2),
        event(1, "add_to_cart", 3),
        event(1, "remove_from_cart", 2),
        event(1, "view", 0),
    ]
    history = History.of(events, catalogue, NOW)
    assert weights(history) == pytest.approx({1: 0.3})
    assert len(history.purchases) == 0
    assert history.strongest_type(1) == "view"


def test_events_are_in_order_of_time_and_later_events_have_age_0(catalogue):
    late = PastEvent(PRESENT, 0, "view", tiny_items()[1].item_id)
    history = History.of([late, event(0, "view", days_ago=2)], catalogue, NOW)
    assert history.rows.tolist() == [0, 1]
    assert history.ages.tolist() == [2.0, 0.0]


def test_items_of_the_page_outweigh_the_history(catalogue):
    ids = [item.item_id for item in tiny_items()[:2]]
    anchors = [ids[0], "unknown", ids[0]]
    history = History.of([event(2, "purchase")], catalogue, NOW, anchors, own_weight=0.1)
    assert weights(history) == pytest.approx({0: 1.0, 2: 0.1})
    assert history.anchors.tolist() == [0]
    assert history.strongest_type(0) == ""
    assert history.strongest_type(2) == "purchase"


def test_recent_items_are_those_within_the_days(catalogue):
    events = [event(0, "purchase", 3), event(1, "view", 3), event(2, "click", 8)]
    history = History.of(events, catalogue, NOW)
    assert history.recent(bought=3, seen=0).tolist() == [0]
    assert history.recent(bought=2, seen=3).tolist() == [1]
    assert history.recent(bought=0, seen=0).tolist() == []


def test_purchases_count_by_number_and_recency(catalogue):
    events = [event(0, "purchase", 60), event(0, "purchase", 60), event(1, "purchase", 120)]
    purchases = History.of(events, catalogue, NOW).purchases
    assert purchases.rows.tolist() == [0, 1]
    np.testing.assert_allclose(purchases.weights, [1.0, 0.25], rtol=1e-5)


@pytest.mark.parametrize(
    ("surface", "item_ids", "field"),
    [
        (Surface.HOME, ("a",), "item_ids"),
        (Surface.PRODUCT, ("a", "b"), "item_ids"),
        (Surface.BASKET, (), "item_ids"),
        (Surface.BASKET, ("a", ""), "item_ids[1]"),
        (Surface.SIMILAR, ("",), "item_id"),
    ],
)
def test_a_surface_needs_its_number_of_items(surface, item_ids, field):
    with pytest.raises(RequestError) as refused:
        Recommending(surface, item_ids)
    assert refused.value.field == field


def test_a_history_of_an_unknown_type_is_refused():
    with pytest.raises(RequestError) as refused:
        SearchRequest("q", person=Person(history=(event(0, "look"),)))
    assert refused.value.field == "person.history[0].type"


def test_a_context_has_names_and_short_texts():
    check_context({"country": "x" * 256})
    for context in ({"": "x"}, {"country": "x" * 257}, {str(n): "" for n in range(33)}):
        with pytest.raises(RequestError):
            check_context(context)
