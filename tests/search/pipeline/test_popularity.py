import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.catalogue import Catalogue
from catalog.schema import Item
from catalog.store import ItemStore
from search.pipeline.popularity import Popularity
from search.pipeline.selection import Selection


def test_the_most_rated_come_first_then_the_better_rated_then_the_earlier():
    known = [(5, 4.0), (9, 1.0), (5, 4.5), (None, 5.0), (5, None), (0, 5.0), (9, 1.0)]
    items = [
        Item(str(row), "t", rating_count=count, rating=rating)
        for row, (count, rating) in enumerate(known)
    ]
    popularity = Popularity.of(Catalogue.of(ItemStore.of(items)))
    rows = popularity.rows(np.ones(7, np.bool_))
    assert rows.tolist() == [1, 6, 2, 0, 4, 5, 3]
    assert popularity.scores(rows).tolist() == [9, 9, 5, 5, 5, 0, 0]
    assert popularity.rows(np.arange(7) % 2 == 0).tolist() == [6, 2, 0, 4]


@pytest.mark.parametrize("row", [-1, 2])
def test_rows_that_do_not_exist_have_no_popularity(row):
    popularity = Popularity.of(Catalogue.of(ItemStore.of([Item("a", "t"), Item("b", "t")])))
    with pytest.raises(IndexError, match="rows"):
        popularity.scores(np.array([0, row], np.int32))


def first_of_groups(groups, ranked, most, wanted):
    """The places that a selection of items in these groups shows; -1 for an item in none."""
    items = [
        Item(str(row), "t", group_id=None if group < 0 else str(group))
        for row, group in enumerate(groups)
    ]
    return Selection(Catalogue.of(ItemStore.of(items))).shown(ranked, most, wanted)


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
