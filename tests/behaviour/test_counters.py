"""Counters, compared with a brute-force recount of all events."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from behaviour.config import CounterConfig
from behaviour.counters import POSITIONS, Counters, Counts
from behaviour.events import DAY, Event
from behaviour.log.format import StoredEvent
from catalog.events import EVENT_TYPES
from demo.behaviour import BehaviourModel, clicks, examination
from tests.behaviour.examples import HOUR, MICROSECONDS, NOW, event, random_events, stored
from tests.timing import Clock

ITEMS = [f"item{n}" for n in range(7)]  # the last has no events


def weight(event_: Event, days: float, now: float = NOW) -> float:
    return 0.5 ** ((now * 1e6 - event_.time) / (days * DAY))


def recount(counters: Counters, events: Sequence[Event], days: float, now: float, **fields):
    """Return the counts by type and the examinations of the events that have some values."""
    types = [0.0] * len(EVENT_TYPES)
    examined = 0.0
    for each in events:
        if any(getattr(each, name) != value for name, value in fields.items()):
            continue
        types[EVENT_TYPES.index(each.type)] += weight(each, days, now)
        if each.type == "impression":
            at = each.position
            theta = 1.0 if at is None else counters.examination[min(at, POSITIONS + 1) - 1]
            examined += weight(each, days, now) * theta
    return types, examined


def check(counters: Counters, events: Sequence[Event], days: float, now: float = NOW) -> None:
    """Compare all counters with a recount."""

    def compare(found: Counts, row: int, **fields) -> None:
        types, examined = recount(counters, events, days, now, **fields)
        np.testing.assert_allclose(found.types[row], types, rtol=1e-9, atol=1e-12)
        if "item_id" in fields:
            np.testing.assert_allclose(found.examined[row], examined, rtol=1e-9, atol=1e-12)

    items = counters.items(ITEMS)
    for row, item_id in enumerate(ITEMS):
        compare(items, row, item_id=item_id)
        for query in ("query 0", "query 1", "query 9"):
            pairs = counters.pairs(f"  {query.upper()} ", ITEMS)
            compare(pairs, row, item_id=item_id, query=query)


@pytest.mark.parametrize("days", [0.02, 1.0, 30.0])
def test_counters_are_the_decayed_sums_of_all_events(days: float):
    # With a half-life of 0.02 days, the weights of 1,000 hours differ by 2^2083, so the landmark
    # of the weights moves.
    clock, events = Clock(NOW - 1_000 * 3_600), random_events(0, 600)
    counters = Counters(CounterConfig(half_life_days=days), clock)
    counters.add(stored(events)[:300])
    counters.add(stored(events)[300:])
    clock.advance(1_000 * 3_600)
    check(counters, events, days)
    clock.advance(24 * 3_600)
    check(counters, events, days, NOW + 24 * 3_600)


def test_an_event_of_one_half_life_ago_counts_half():
    counters = Counters(CounterConfig(half_life_days=1.0), Clock(NOW))
    counters.add(stored([event("a", "purchase"), event("b", "purchase", time=MICROSECONDS - DAY)]))
    assert counters.items(["lamp"]).of("purchase") == pytest.approx(1.5)
    assert counters.items(["lamp"]).of("click") == 0


def test_removed_events_leave_the_counters_as_without_them():
    events = random_events(1, 500)
    gone = [each for each in events if each.user_id == "user0" or each.item_id == "item5"]
    counters = Counters(clock=Clock(NOW))
    counters.add(stored(events))
    counters.remove([s for s in stored(events) if s.event in gone])
    check(counters, [each for each in events if each not in gone], 30.0)
    assert "item5" not in counters._items.keys
    assert "item5" not in {item for _, item in counters._pairs.keys}


def shown(number: int | str, item_id: str, position: int, query: str = "q", *, click: bool):
    fields = {"item_id": item_id, "position": position, "query": query}
    yield event(f"{number} i", "impression", **fields)
    if click:
        yield event(f"{number} c", "click", **fields)


def test_theta_is_found_although_better_items_are_shown_higher():
    """Pages are ranked by quality with noise, so pooled click rates by position are too steep."""
    random, counters = np.random.default_rng(0), Counters(clock=Clock(NOW))
    truth = np.arange(1.0, 11) ** -0.9
    events, number = [], 0
    for page in range(6_000):
        query = f"query {page % 20}"
        quality = (np.arange(10) + page % 20) % 10 / 12 + 0.05
        order = np.argsort(-np.log(quality) - random.gumbel(scale=0.7, size=10), kind="stable")
        for position, item in enumerate(order.tolist(), 1):
            click = random.random() < truth[position - 1] * quality[item]
            events += shown(number, f"item {item}", position, query, click=bool(click))
            number += 1
    counters.add(stored(events))
    counters.refresh()
    pooled = np.array(
        [
            sum(e.type == "click" and e.position == k for e in events)
            / sum(e.type == "impression" and e.position == k for e in events)
            for k in range(1, 11)
        ]
    )
    error = np.abs(np.log(counters.examination[:10] / truth)).max()
    pooled_error = np.abs(np.log(pooled / pooled[0] / truth)).max()
    assert error < 0.2
    assert error < pooled_error / 2


@pytest.mark.parametrize(
    "unseen",
    [
        {"query": "q", "item_id": "never shown"},
        {"query": "pair 0", "item_id": "lamp"},  # was shown at other positions only
    ],
)
def test_clicks_without_impressions_do_not_change_theta(unseen):
    """The pairs are clicked at rates of 0.5 at position 1, and of 0.1 at position 5."""
    counters, events = Counters(clock=Clock(NOW)), []
    for pair in range(1, 11):
        for position, clicked in ((1, 500), (5, 100)):
            for n in range(1_000):
                number = f"{pair} {position} {n}"
                events += shown(number, "lamp", position, f"pair {pair}", click=n < clicked)
    events += shown("other", "lamp", 1, "pair 0", click=True)
    counters.add(stored(events))
    counters.refresh()
    # The prior of 0.2 counts as 10 clicks.
    assert counters.examination[4] == pytest.approx(0.2, rel=0.01)
    counters.add(stored([event(f"u{n}", "click", position=5, **unseen) for n in range(5_000)]))
    counters.refresh()
    assert counters.examination[4] == pytest.approx(0.2, rel=0.01)


def test_debiased_rates_order_items_nearer_to_the_truth_than_raw_rates():
    """The simulator of the demo store draws the clicks; the logging policy prefers bad items."""
    random, model = np.random.default_rng(1), BehaviourModel()
    attractive = np.linspace(0.02, 0.6, 10)
    events, number = [], 0
    for _ in range(4_000):
        order = np.argsort(attractive + random.gumbel(scale=0.3, size=10), kind="stable")
        clicked = clicks(random, model, "position", attractive[order])
        for position, item in enumerate(order.tolist(), 1):
            events += shown(number, f"item {item}", position, click=bool(clicked[position - 1]))
            number += 1
    counters = Counters(clock=Clock(NOW))
    counters.add(stored(events))
    counters.refresh()
    items = [f"item {n}" for n in range(10)]
    counts = counters.items(items)
    raw = counts.of("click") / counts.of("impression")
    rates = counters.rates(items, query="q")
    assert np.abs(counters.examination[:10] / examination(model) - 1).max() < 0.3
    assert wrong_pairs(rates) < wrong_pairs(raw)
    assert np.corrcoef(rates, attractive)[0, 1] > 0.98


def wrong_pairs(rates) -> int:
    return int(sum(rates[i] >= rates[j] for j in range(10) for i in range(j)))


def test_theta_without_clicks_is_the_prior():
    counters = Counters(clock=Clock(NOW))
    counters.refresh()
    assert counters.examination == pytest.approx(1 / np.arange(1, POSITIONS + 2))


def test_rates_of_few_impressions_are_near_the_mean_and_pairs_are_near_their_item():
    counters = Counters(clock=Clock(NOW))
    events = [event(f"i{n}", "impression", "a") for n in range(100)]
    events += [event(f"c{n}", "click", "a") for n in range(20)]
    events += [
        event(f"b{n}", kind, "b", query="q") for n, kind in enumerate(["impression", "click"])
    ]
    counters.add(stored(events))
    mean = 21 / 101
    rate_a, rate_b = (20 + 10 * mean) / 110, (1 + 10 * mean) / 11
    assert counters.rates(["a", "b", "c"], smoothing=10.0) == pytest.approx([rate_a, rate_b, mean])
    pair_b = (1 + 10 * rate_b) / 11
    assert counters.rates(["a", "b"], query="Q", smoothing=10.0) == pytest.approx([rate_a, pair_b])
    assert counters.rates(["a"], "purchase") == pytest.approx([0])
    assert Counters(clock=Clock(NOW)).rates(["a"]) == 0


def test_popular_items_are_ordered_by_weighted_counts():
    counters = Counters(clock=Clock(NOW))
    kinds = {"a": ["view"] * 3, "b": ["purchase"], "c": ["return"], "d": ["view"], "e": ["view"]}
    counters.add(
        stored([event(f"{i}{n}", k, i) for i, ks in kinds.items() for n, k in enumerate(ks)])
    )
    assert counters.popular == ()
    counters.recount()
    assert counters.popular == (
        ("b", pytest.approx(1)),
        ("a", pytest.approx(0.3)),
        ("d", pytest.approx(0.1)),
        ("e", pytest.approx(0.1)),
    )
    counters.recount(2)
    assert [item for item, _ in counters.popular] == ["b", "a"]


def test_a_full_table_keeps_the_items_with_the_most_events():
    counters = Counters(CounterConfig(max_items=8, max_pairs=8), Clock(NOW))
    often = [event(f"o{n}", "click", f"often{n % 3}", query="q", user_id="u") for n in range(30)]
    rare = [event(f"r{n}", "click", f"rare{n}", query="q", user_id=f"u{n}") for n in range(200)]
    counters.add(stored(often + rare))
    assert counters.items(["often0", "often1", "often2"]).of("click") == pytest.approx(10)
    assert max(len(counters._items), len(counters._pairs)) <= 8


def test_readers_see_whole_events_while_a_thread_adds():
    counters, done, wrong = Counters(clock=Clock(NOW)), threading.Event(), []
    events = [
        StoredEvent(n, event(str(n), "click", "lamp", query="q", position=2), None)
        for n in range(20_000)
    ]

    def read() -> None:
        while not done.is_set():
            before = counters.items(["lamp"]).of("click")[0]
            after = counters.pairs("q", ["lamp"]).of("click")[0]
            if after < before:
                wrong.append((before, after))

    reader = threading.Thread(target=read)
    reader.start()
    counters.add(events)
    done.set()
    reader.join()
    assert wrong == []
    assert counters.items(["lamp"]).of("click") == pytest.approx(20_000)


def test_late_events_count_as_if_they_came_in_time():
    early, late = Counters(clock=Clock(NOW)), Counters(clock=Clock(NOW))
    events = [event(str(n), "click", time=MICROSECONDS - n * 100 * HOUR) for n in range(20)]
    early.add(stored(events))
    late.add(stored(events[::-1]))
    assert early.items(["lamp"]).types == pytest.approx(late.items(["lamp"]).types)
