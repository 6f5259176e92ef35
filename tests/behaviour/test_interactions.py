"""Interactions: events as arrays, with cuts by time, slices by user and decayed matrices."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from base.errors import InputError
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from catalog.schema import EVENTS

DAY = datetime(2024, 1, 1, tzinfo=UTC)
ITEMS = ("a", "b", "c")


def table(*rows):
    """Make an events table; a row is user, item, session, day, and optionally type, quantity."""
    filled = [(*row, *("purchase", None)[len(row) - 4 :]) for row in rows]
    users, items, sessions, days, types, quantities = zip(*filled, strict=True)
    columns = {
        "time": [datetime.fromtimestamp(DAY.timestamp() + d * SECONDS_PER_DAY, UTC) for d in days],
        "item_id": items,
        "type": types,
        "session_id": sessions,
        "user_id": users,
        "quantity": quantities,
    }
    columns |= {name: [None] * len(rows) for name in EVENTS.names if name not in columns}
    return pa.table({name: columns[name] for name in EVENTS.names}, schema=EVENTS.arrow)


def read(*rows):
    return Interactions.of_events(table(*rows), ITEMS)


def day(number):
    return int(DAY.timestamp()) + number * SECONDS_PER_DAY


SHOP = (
    ("v", "c", "s3", 2),
    ("u", "b", "s2", 5),
    ("u", "a", "s1", 1),
    ("u", "b", "s1", 1),
    ("v", "a", "s4", 4),
)


def test_events_are_sorted_by_user_and_time():
    shop = read(*SHOP)
    assert shop.user_ids == ("u", "v")
    assert shop.items == 3
    assert shop.user.tolist() == [0, 0, 0, 1, 1]
    assert shop.item.tolist() == [0, 1, 1, 2, 0]
    assert shop.session.tolist() == [0, 0, 1, 2, 3]
    assert shop.time.tolist() == [day(d) for d in (1, 1, 5, 2, 4)]
    assert shop.starts.tolist() == [0, 3, 5]
    assert shop.events_of(1) == slice(3, 5)


def test_an_item_counts_once_in_a_session_for_each_type():
    shop = read(("u", "a", "s", 1), ("u", "a", "s", 0), ("u", "a", "s", 2, "click"))
    assert shop.time.tolist() == [day(0), day(2)]
    assert len(shop.of_types("purchase")) == 1
    assert shop.of_types("click").time.tolist() == [day(2)]


def test_one_session_id_of_two_users_is_two_sessions():
    assert read(("u", "a", "s", 0), ("v", "a", "s", 0)).session.tolist() == [0, 1]


def test_events_without_a_session_belong_to_the_session_of_the_day():
    shop = read(*[("u", item, None, d) for item, d in (("a", 0.1), ("b", 0.9), ("c", 1.1))])
    assert shop.session.tolist() == [0, 0, 1]


def test_a_session_without_a_user_is_a_user_of_its_own():
    shop = read(
        ("u", "a", "s1", 0), (None, "b", "s2", 0), (None, "c", "s2", 1), (None, "c", "x", 0)
    )
    assert shop.user_ids == ("u", "session s2", "session x")
    assert shop.user.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(
    "row",
    [
        (None, "a", None, 0),
        ("u", "unknown", "s", 0),
        ("u", "a", "s", 0, "purchase", -2),
    ],
)
def test_returns_and_events_without_user_or_item_are_left_out(row):
    assert len(read(row, ("v", "b", "s", 0, "purchase", 3))) == 1
    with pytest.raises(InputError, match="no event has a known item"):
        read(row)


def test_cuts_by_time_keep_the_numbers_of_users():
    shop = read(*SHOP)
    assert shop.before(day(2)).user.tolist() == [0, 0]
    assert shop.since(day(2)).session.tolist() == [1, 2, 3]
    assert shop.before(day(2)).user_ids == ("u", "v")


def test_users_are_selected_in_any_order():
    batch = read(*SHOP, ("w", "a", "s", 0)).of_users(np.array([2, 0]))
    assert batch.user_ids == ("w", "u")
    assert batch.user.tolist() == [0, 1, 1, 1]
    assert batch.item.tolist() == [0, 0, 1, 1]
    assert batch.starts.tolist() == [0, 1, 4]


def test_a_matrix_sums_the_decayed_events():
    shop = read(*SHOP)
    assert shop.matrix().toarray().tolist() == [[1, 2, 0], [1, 0, 1]]
    decayed = shop.matrix(day(5), half_life_days=2.0).toarray()
    np.testing.assert_allclose(decayed, [[2**-2, 2**-2 + 1, 0], [2**-0.5, 0, 2**-1.5]], rtol=1e-6)
    assert decayed.dtype == np.float32
    baskets = shop.baskets(day(5), half_life_days=2.0).toarray()
    np.testing.assert_allclose(baskets[:2], [[2**-2, 2**-2, 0], [0, 1, 0]], rtol=1e-6)


def test_only_the_latest_event_of_an_item_counts_if_asked():
    latest = read(*SHOP).matrix(day(5), half_life_days=2.0, strongest=True).toarray()
    np.testing.assert_allclose(latest, [[2**-2, 1, 0], [2**-0.5, 0, 2**-1.5]], rtol=1e-6)


def test_sessions_are_numbered_without_gaps_and_counted_from_the_end():
    shop = read(*SHOP)
    cut = shop.select(shop.session != 1)
    assert cut.session_numbers().tolist() == [0, 0, 1, 2]
    assert cut.baskets().toarray().tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert shop.sessions_back().tolist() == [1, 1, 0, 1, 0]


def test_an_event_after_now_counts_as_one_of_now():
    assert read(("u", "a", "s", 3)).matrix(day(1), half_life_days=1.0).toarray()[0, 0] == 1


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        read(*SHOP).item[0] = 2
