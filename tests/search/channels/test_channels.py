"""The lexical channel with a filter: it finds the best passing items, as many as possible."""

import numpy as np
import pytest

from catalog.items import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from search.channels.base import Query
from search.channels.lexical import LexicalChannel

ITEMS = 4_000
DEPTH = 50
VECTOR = np.ones(1, np.float32)


@pytest.fixture(scope="module")
def lamps(tmp_path_factory):
    """A channel over titles that get longer every 100 rows, so scores fall. Some have "oak"."""
    titles = (
        " ".join(["oak"] * (row % 100 == 0) + ["lamp"] + ["shade"] * (row // 100))
        for row in range(ITEMS)
    )
    store = ItemStore.of([Item(str(row), title) for row, title in enumerate(titles)])
    return LexicalChannel(LexicalIndex.build(store, tmp_path_factory.mktemp("lamps") / "lexical"))


def passing(*, rows: slice = slice(None), share: float = 1.0) -> np.ndarray:
    allowed = np.zeros(ITEMS, np.bool_)
    allowed[rows] = np.random.default_rng(0).random(ITEMS)[rows] < share
    return allowed


FILTERS = {
    "none": passing(share=0.0),
    "all": passing(),
    "a few of the worst": passing(rows=slice(-20, None)),  # over 2,048 others score higher
    "all but the best": passing(rows=slice(200, None)),
    "the worst half": passing(rows=slice(ITEMS // 2, None)),
    "the best half": passing(rows=slice(ITEMS // 2)),
    "half": passing(share=0.5),
    "a hundredth": passing(share=0.01),
}


@pytest.mark.parametrize("query", ["lamp", "oak", "oak lamp", "zebra", ""])
@pytest.mark.parametrize("allowed", FILTERS.values(), ids=list(FILTERS))
def test_the_best_of_what_passes_is_found_and_never_too_few(lamps, query, allowed):
    asked = Query(query, VECTOR)
    everything = np.arange(ITEMS, dtype=np.int32)
    scores = lamps.index.scores(query, everything)
    shares = scores / (scores.max() or 1)
    best = np.argsort(-np.where(allowed, shares, 0), kind="stable")
    expected = best[(allowed & (shares > 0))[best]][:DEPTH]
    found = lamps.search(asked, DEPTH, allowed)
    assert found.rows.tolist() == expected.tolist()
    np.testing.assert_allclose(found.scores, shares[expected], rtol=1e-6)
    np.testing.assert_array_equal(found.scores, lamps.scores(asked, found.rows))


def test_more_than_pass_may_be_asked_for(lamps):
    allowed = FILTERS["a few of the worst"]
    found = lamps.search(Query("lamp", VECTOR), 1_000, allowed)
    assert sorted(found.rows.tolist()) == np.flatnonzero(allowed).tolist()
