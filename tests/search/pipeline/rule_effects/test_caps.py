"""Caps, compared with a plain loop over the list that counts each value."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from catalog.catalogue import Catalogue
from catalog.items import Item
from catalog.store import ItemStore
from search.pipeline.rule_effects.caps import apply_caps, capped

values = st.sampled_from([None, "a", "b", "c"])
listed = st.lists(st.tuples(values, values), min_size=1, max_size=40)


def by_hand(rows, items, caps, shown, wanted):
    counts = [Counter(items[row][n] for row in shown) for n, _ in caps]
    stay, dropped = [], 0
    for place, row in enumerate(rows):
        if len(stay) == wanted:
            break
        full = [
            n
            for cap, (n, most) in enumerate(caps)
            if items[row][n] is not None and counts[cap][items[row][n]] >= most
        ]
        if full:
            dropped += 1
        else:
            stay.append(place)
            for cap, (n, _) in enumerate(caps):
                counts[cap][items[row][n]] += 1
    return stay, dropped


@given(listed, st.integers(1, 3), st.integers(1, 3), st.integers(0, 45), st.data())
def test_a_list_is_capped_as_one_would_by_hand(items, brands, groups, wanted, data):
    store = ItemStore.of(
        [Item(str(n), "t", brand=brand, group_id=group) for n, (brand, group) in enumerate(items)]
    )
    catalogue = Catalogue.of(store)
    order = data.draw(st.permutations(range(len(items))))
    pinned = data.draw(st.integers(0, min(3, len(items) - 1)))
    shown, rows = order[:pinned], order[pinned:]
    kept = apply_caps(
        np.array(rows, np.int32),
        [(catalogue.codes("brand"), brands), (catalogue.codes("group_id"), groups)],
        np.array(shown, np.int32),
        wanted,
    )
    stay, dropped = by_hand(rows, items, [(0, brands), (1, groups)], shown, wanted)
    assert kept.positions.tolist() == stay
    assert sum(kept.dropped) == (dropped if wanted else 0)


def test_long_lists_are_gone_through_part_by_part():
    items = [(str(n % 700), None if n % 2 else str(n % 4)) for n in range(5_000)]
    catalogue = Catalogue.of(
        ItemStore.of([Item(str(n), "t", brand=b, group_id=g) for n, (b, g) in enumerate(items)])
    )
    caps = [(catalogue.codes("brand"), 2), (catalogue.codes("group_id"), 100)]
    rows = np.arange(len(items), dtype=np.int32)
    for wanted in (1, 850, 5_000):
        kept = apply_caps(rows, caps, np.zeros(0, np.int32), wanted)
        stay, dropped = by_hand(rows.tolist(), items, [(0, 2), (1, 100)], [], wanted)
        assert kept.positions.tolist() == stay
        assert sum(kept.dropped) == dropped


def test_without_caps_all_stay():
    rows = np.arange(5, dtype=np.int32)
    none = np.zeros(0, np.int32)
    assert apply_caps(rows, [], none, 3).positions.tolist() == [0, 1, 2]
    assert apply_caps(rows, [], none, 0).positions.tolist() == []


def first_of_groups(groups, ranked, most, wanted):
    """Return the positions that a cap of `most` items per group keeps; group -1 means no group."""
    items = [
        Item(str(row), "t", group_id=None if group < 0 else str(group))
        for row, group in enumerate(groups)
    ]
    return capped(Catalogue.of(ItemStore.of(items)), ranked, most, wanted)


@given(st.lists(st.integers(-1, 3), max_size=30), st.integers(1, 3), st.integers(1, 35))
def test_groups_are_capped_as_one_would_going_down_the_list(groups, most, wanted):
    seen: dict[int, int] = {}
    expected = []
    for place, group in enumerate(groups):
        seen[group] = seen.get(group, 0) + 1
        if group < 0 or seen[group] <= most:
            expected.append(place)
    stay = first_of_groups(groups, np.arange(len(groups), dtype=np.int32), most, wanted)
    assert stay.tolist() == expected[:wanted]


def test_a_list_is_ranked_by_row_whatever_the_order():
    stay = first_of_groups([7, 7, 8], np.array([2, 1, 0], np.int32), 1, 3)
    assert stay.tolist() == [0, 1]


def test_groups_of_a_long_list_are_capped_to_its_end():
    ids = [None if n % 1_000 == 999 else str(n % 7) for n in range(5_000)]
    catalogue = Catalogue.of(
        ItemStore.of([Item(str(n), "t", group_id=g) for n, g in enumerate(ids)])
    )
    rows = np.arange(5_000, dtype=np.int32)
    expected = [*range(14), 999, 1_999, 2_999, 3_999, 4_999]
    for count in (1, 14, 15, 17, 19, 20, 6_000):
        assert capped(catalogue, rows, 2, count).tolist() == expected[:count]
