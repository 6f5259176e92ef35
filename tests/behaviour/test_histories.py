"""Histories: the latest events of users and sessions."""

import pytest

from behaviour.histories import Histories, PastEvent
from tests.behaviour.examples import MICROSECONDS, event, random_events, stored


def items(histories: Histories, *person) -> list[str]:
    return [past.item_id for past in histories.of(*person)]


def views(person: str, *item_ids: str, first: int = 1, **fields):
    events = [
        event(f"{person}{n}", "view", i, time=MICROSECONDS + n, **fields)
        for n, i in enumerate(item_ids, first)
    ]
    return stored(events)


def test_a_history_has_the_last_events_of_a_user_without_impressions():
    histories = Histories(3, 10, 100)
    histories.add(views("u", "a", "b", "c", "d", user_id="u", session_id="s"))
    histories.add(stored([event("i", "impression", user_id="u")]))
    assert items(histories, "u") == ["b", "c", "d"]
    last = histories.of("u")[-1]
    assert last == PastEvent(MICROSECONDS + 4, 4, "view", "d")
    assert items(histories, None, "s") == []
    assert histories.of() == histories.of("nobody") == ()


def test_late_events_are_put_in_their_place():
    histories = Histories(3, 10, 100)
    events = views("u", "a", "b", "c", "d", user_id="u")
    for at in (3, 0, 2, 1):
        histories.add([events[at]])
    assert items(histories, "u") == ["b", "c", "d"]


def test_a_history_that_was_read_does_not_change():
    histories = Histories(10, 10, 100)
    histories.add(views("u", "a", user_id="u"))
    before = histories.of("u")
    histories.add(views("u", "b", first=2, user_id="u"))
    assert [past.item_id for past in before] == ["a"]


def test_a_joined_session_is_part_of_its_user():
    histories = Histories(3, 10, 100)
    histories.add(views("s", "b", "d", first=2, session_id="s"))
    histories.add(views("u", "a", "c", first=2, user_id="u"))
    assert items(histories, "u", "s") == ["a", "b", "c", "d"][1:]  # before the join
    histories.join("s", "u")
    assert items(histories, "u") == items(histories, None, "s") == items(histories, "u", "s")
    assert len(items(histories, "u")) == 3
    histories.join("empty", "u")
    histories.remove("u")
    assert items(histories, "u") == items(histories, None, "s") == []
    assert histories._others._count == 0


def test_the_people_who_did_nothing_for_the_longest_time_are_forgotten():
    histories = Histories(10, 10, 7)
    for person in "abac":
        histories.add(views(person, "x", "y", user_id=person))
    assert [items(histories, person) for person in "abc"] == [["x", "x", "y", "y"], [], ["x", "y"]]
    assert histories._others._count == 6


def test_an_expiry_does_not_make_a_history_new():
    histories = Histories(10, 10, 4)
    histories.add(views("a", "x", "y", user_id="a"))
    histories.add(views("b", "x", first=2, user_id="b"))
    histories.expire(MICROSECONDS + 2)
    histories.add(views("c", "x", "y", "z", user_id="c"))
    assert [items(histories, person) for person in "abc"] == [[], ["x"], ["x", "y", "z"]]


def test_views_do_not_push_out_purchases_and_returns():
    histories = Histories(3, 2, 100)
    for n, kind in enumerate(["purchase", "purchase", "return"]):
        histories.add(stored([event(f"p{n}", kind, f"bought{n}", time=n, user_id="u")]))
    histories.add(views("u", "a", "b", "c", "d", user_id="u"))
    histories.add(views("s", "e", first=9, session_id="s"))
    assert items(histories, "u") == ["bought1", "bought2", "b", "c", "d"]
    assert items(histories, "u", "s") == ["bought1", "bought2", "c", "d", "e"]
    histories.join("s", "u")
    assert items(histories, "u") == ["bought1", "bought2", "c", "d", "e"]
    histories.forget("u")
    assert items(histories, "u") == []


def test_old_events_expire():
    histories = Histories(10, 10, 100)
    histories.add(views("u", "a", "b", user_id="u"))
    histories.add(views("v", "a", user_id="v"))
    histories.expire(MICROSECONDS + 2)
    assert items(histories, "u") == ["b"]
    assert items(histories, "v") == []
    assert histories._others._count == 1


@pytest.mark.parametrize("seed", range(3))
def test_histories_equal_a_sort_of_all_events(seed: int):
    histories, events = Histories(7, 10, 10_000), stored(random_events(seed, 500))
    histories.add(events)
    for user in ("user0", "user1", "user2", "user3"):
        mine = sorted(
            (stored.event.time, stored.sequence, stored.event.type)
            for stored in events
            if stored.user_id == user and stored.event.type != "impression"
        )
        bought = [each for each in mine if each[2] in ("purchase", "return")]
        others = [each for each in mine if each not in bought]
        assert [past[:3] for past in histories.of(user)] == sorted(bought[-10:] + others[-7:])
        assert len(bought) > 10
