"""Profiles: shares and price bands computed by hand."""

import pytest

from behaviour.histories import PastEvent
from behaviour.profile import ItemFacts, Profile, profile_of
from tests.behaviour.examples import MICROSECONDS

A = ItemFacts("Acme", "Lamps", 10.0)
B = ItemFacts("Brio", "Lamps", 20.0)
C = ItemFacts(None, "Vases", None)
D = ItemFacts("Acme", None, 90.0)


def test_shares_are_those_of_the_weights_of_the_items():
    history = [PastEvent(MICROSECONDS - n, n, "view", "a") for n in (2, 1, 0)]
    profile = profile_of(history, [(A, 3.0), (C, 1.0), (B, 0.5)])
    assert profile.brands == pytest.approx({"Acme": 3 / 3.5, "Brio": 0.5 / 3.5})
    assert profile.categories == pytest.approx({"Lamps": 3.5 / 4.5, "Vases": 1 / 4.5})
    assert list(profile.categories) == ["Lamps", "Vases"]
    assert profile.last_time == MICROSECONDS
    assert profile.events == tuple(history)


def test_the_price_band_leaves_out_a_tenth_of_the_weight_on_each_side():
    assert profile_of([], [(B, 17.0), (A, 2.0), (D, 1.0)]).price_band == (10.0, 20.0)
    assert profile_of([], [(B, 17.0), (A, 2.0), (D, 3.0)]).price_band == (20.0, 90.0)


def test_a_person_without_interests_has_an_empty_profile():
    assert profile_of([], []) == Profile()
