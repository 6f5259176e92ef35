"""Filtered search against comparing every item that passes."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import filtered
from towers.index import ExactIndex, IndexConfig, build_index, open_vectors

ITEMS, DIM = 600, 8
SHARES = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0)


def unit(seed: int, count: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS, QUERIES = unit(1, ITEMS), unit(2, 5)
INDEX = ExactIndex(VECTORS)


def by_hand(query, k, allowed) -> list[int]:
    """Rows that pass, by falling cosine."""
    cosines = VECTORS @ query
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda row: -cosines[row])[:k]


@pytest.fixture
def eager(monkeypatch):
    """Use the index however few items pass."""
    monkeypatch.setattr(filtered, "SCAN_UP_TO", 0)


@given(
    st.sampled_from(SHARES),
    st.sampled_from([1, 2, 10, 200, ITEMS, 5_000]),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 20_000]),
)
def test_every_plan_finds_what_comparing_every_item_finds(share, k, query, seed, scan_up_to):
    allowed = np.random.default_rng(seed).random(ITEMS) < share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filtered, "SCAN_UP_TO", scan_up_to)
        found = filtered.nearest(INDEX, VECTORS, QUERIES[query], k, allowed)
    assert found.rows.tolist() == by_hand(QUERIES[query], k, allowed)
    np.testing.assert_allclose(found.cosines, VECTORS[found.rows] @ QUERIES[query], atol=1e-6)
    assert (found.plan == "scan") or scan_up_to == 0


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("side", [-1, 1])
def test_filters_that_go_with_the_query_are_no_worse(eager, share, side):
    for query in QUERIES:
        cosines = side * (VECTORS @ query)
        allowed = cosines <= np.quantile(cosines, share)
        found = filtered.nearest(INDEX, VECTORS, query, 20, allowed)
        assert found.rows.tolist() == by_hand(query, 20, allowed)


def test_the_plan_follows_how_many_pass(eager, monkeypatch):
    query = QUERIES[0]
    cosines = VECTORS @ query
    near, far = cosines >= np.quantile(cosines, 0.5), cosines <= np.quantile(cosines, 0.5)
    assert filtered.nearest(INDEX, VECTORS, query, 10, near).plan == "index"
    # Half of the items pass, but none of those fetched first.
    assert filtered.nearest(INDEX, VECTORS, query, 10, far).plan == "index again"
    monkeypatch.setattr(filtered, "MAX_FETCH", 50)
    assert filtered.nearest(INDEX, VECTORS, query, 10, far).plan == "index, then scan"
    few = np.arange(ITEMS) < 5
    assert filtered.nearest(INDEX, VECTORS, query, 10, few).plan == "scan"
    monkeypatch.setattr(filtered, "SCAN_UP_TO", ITEMS)
    assert filtered.nearest(INDEX, VECTORS, query, 10, near).plan == "scan"


def test_random_filters_hardly_ever_ask_the_index_again(eager):
    random = np.random.default_rng(3)
    plans = [
        filtered.nearest(INDEX, VECTORS, QUERIES[0], 20, random.random(ITEMS) < share).plan
        for share in (0.2, 0.5, 0.8)
        for _ in range(100)
    ]
    assert plans.count("index") >= 295


def test_equal_items_come_in_row_order():
    vectors = np.repeat(unit(4, 1), 50, axis=0)
    allowed = np.arange(50) % 2 == 1
    found = filtered.nearest(ExactIndex(vectors), vectors, vectors[0], 7, allowed)
    assert found.rows.tolist() == [1, 3, 5, 7, 9, 11, 13]


def test_more_survivors_than_fit_one_chunk_are_all_compared(monkeypatch):
    monkeypatch.setattr(filtered, "_CHUNK", 7)
    allowed = np.arange(ITEMS) % 3 > 0
    found = filtered.nearest(INDEX, VECTORS, QUERIES[1], 30, allowed)
    assert found.rows.tolist() == by_hand(QUERIES[1], 30, allowed)


@pytest.mark.skipif(importlib.util.find_spec("scann") is None, reason="no ScaNN on this platform")
def test_scann_gives_as_many_as_pass_and_only_those(eager, tmp_path):
    index = build_index(VECTORS, tmp_path, IndexConfig("scann", depth=20), QUERIES)
    vectors = open_vectors(tmp_path)
    random = np.random.default_rng(5)
    for share in SHARES:
        allowed = random.random(ITEMS) < share
        for k in (1, 20, ITEMS):
            found = filtered.nearest(index, vectors, QUERIES[2], k, allowed)
            assert len(set(found.rows.tolist())) == min(k, allowed.sum())
            assert allowed[found.rows].all()
            assert (np.diff(found.cosines) <= 0).all()
