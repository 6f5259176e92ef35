import numpy as np
import pytest

from catalog.catalogue import Catalogue
from catalog.items import Item
from catalog.store import ItemStore
from search.ranking.popularity import Popularity


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
