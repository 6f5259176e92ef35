"""Profiles: shares and price bands computed by hand."""

import pytest

from behaviour.events import DAY
from behaviour.histories import PastEvent
from behaviour.profile import ItemFacts, Profile, profile_of
from tests.behaviour.examples import MICROSECONDS

FACTS = {
    "a": ItemFacts("Acme", "Lamps", 10.0),
    "b": ItemFacts("Brio", "Lamps", 20.0),
    "c": ItemFacts(None, "Vases", None),
    "d": ItemFacts("Acme", None, 90.0),
}


def past(item_id: str, kind: str = "view", days: float = 0) -> PastEvent:
    return PastEvent(int(MICROSECONDS - days * DAY), 1, kind, item_id, None, None)


def test_shares_follow_from_types_and_age():
    history = [past("b", "view", 30), past("c"), past("a", "purchase")]
    profile = profile_of(history, FACTS.get, MICROSECONDS, 30.0)
    # Weights: a 3, b 0.5, c 1.
    assert profile.brands == pytest.approx({"Acme": 3 / 3.5, "Brio": 0.5 / 3.5})
    assert profile.categories == pytest.approx({"Lamps": 3.5 / 4.5, "Vases": 1 / 4.5})
    assert list(profile.categories) == ["Lamps", "Vases"]
    assert profile.last_time == MICROSECONDS
    assert profile.events == tuple(history)


def test_the_price_band_leaves_out_a_tenth_of_the_weight_on_each_side():
    views = [past("b")] * 17 + [past("a")] * 2 + [past("d")]
    assert profile_of(views, FACTS.get, MICROSECONDS).price_band == (10.0, 20.0)
    more = [*views, past("d"), past("d")]
    assert profile_of(more, FACTS.get, MICROSECONDS).price_band == (20.0, 90.0)


def test_items_that_were_sent_back_and_unknown_items_say_nothing():
    history = [past("a", "purchase"), past("a", "return"), past("gone"), past("b", "impression")]
    profile = profile_of(history, FACTS.get, MICROSECONDS)
    assert (profile.brands, profile.categories, profile.price_band) == ({}, {}, None)
    assert profile_of([], FACTS.get, MICROSECONDS) == Profile()
