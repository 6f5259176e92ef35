"""Filtered search, compared with a scan of every item that passes the filter."""

import importlib.util
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.index.ours import build_index
from search.channels import filtered
from towers.exact import ExactIndex
from towers.index import IndexConfig
from towers.sketch import sketch
from towers.vectors import open_vectors

ITEMS, DIM = 600, 8
SHARES = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.95, 1.0)


def unit(seed: int, count: int, dim: int = DIM) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


VECTORS, QUERIES = unit(1, ITEMS), unit(2, 5)
INDEX = ExactIndex(VECTORS)
SKETCH = sketch(VECTORS, QUERIES)


def by_hand(query, k, allowed) -> list[int]:
    """Return the passing rows by falling cosine, without an index."""
    cosines = VECTORS @ query
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda row: -cosines[row])[:k]


# Uses the sketch even if few items pass a filter; by default, these items are scanned.
without_scan = partial(filtered.nearest, scan_up_to=0, scan_share=0.0)


@given(
    st.sampled_from(SHARES),
    st.sampled_from([1, 2, 10, 200, ITEMS, 5_000]),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
)
def test_a_scan_finds_what_comparing_every_item_finds(share, k, query, seed):
    allowed = np.random.default_rng(seed).random(ITEMS) < share
    found = filtered.nearest(INDEX, None, VECTORS, QUERIES[query], k, allowed)
    assert found.rows.tolist() == by_hand(QUERIES[query], k, allowed)
    np.testing.assert_allclose(found.cosines, VECTORS[found.rows] @ QUERIES[query], atol=1e-6)
    assert found.plan == "scan"


@given(
    st.sampled_from(SHARES),
    st.sampled_from([1, 2, 10, 200, ITEMS, 5_000]),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
)
def test_every_plan_gives_as_many_as_pass_and_only_those_best_first(share, k, query, seed):
    allowed = np.random.default_rng(seed).random(ITEMS) < share
    found = without_scan(INDEX, SKETCH, VECTORS, QUERIES[query], k, allowed)
    assert len(set(found.rows.tolist())) == min(k, allowed.sum())
    assert allowed[found.rows].all()
    assert (np.diff(found.cosines) <= 0).all()
    np.testing.assert_allclose(found.cosines, VECTORS[found.rows] @ QUERIES[query], atol=1e-6)


@pytest.mark.parametrize("side", ["random", "near", "far", "farthest"])
def test_next_to_none_of_the_nearest_is_missed_whatever_the_filter(side):
    vectors, queries = unit(7, 6_000, 64), unit(8, 40, 64)
    made, centres = sketch(vectors, queries[20:]), unit(9, 60, 64)
    places = (vectors @ centres.T).argmax(axis=1)
    hits = wanted = 0
    for share in (0.05, 0.2, 0.6):
        for number, query in enumerate(queries[:20]):
            closeness = {
                "random": np.random.default_rng(number).random(6_000),
                "near": (centres @ query)[places],
                "far": -(centres @ query)[places],
                "farthest": -(vectors @ query),
            }[side]
            allowed = closeness >= np.quantile(closeness, 1 - share)
            found = without_scan(INDEX, made, vectors, query, 10, allowed)
            assert found.plan == "sketch"
            cosines = np.where(allowed, vectors @ query, -2)
            hits += len(np.intersect1d(found.rows, np.argsort(-cosines)[:10]))
            wanted += 10
    assert hits / wanted >= 0.99


class CountedVectors(np.ndarray):
    """Vectors that count the rows that a search reads, in `read`."""

    read: int

    def take(self, rows, *arguments, **options):
        self.read += len(rows)
        return np.asarray(self).take(rows, *arguments, **options)


def test_few_of_those_that_pass_are_compared():
    vectors, queries = unit(7, 20_000, 64), unit(8, 10, 64)
    made, counted = sketch(vectors, queries), vectors.view(CountedVectors)
    counted.read = 0
    allowed = np.arange(20_000) % 2 == 0
    for query in queries:
        without_scan(INDEX, made, counted, query, 10, allowed)
    # Fewer than 4,000 of the 10,000 passing items are compared, even in the sketch's worst case:
    # random vectors without clusters.
    assert 10 <= counted.read / len(queries) < 4_000


def test_the_plan_follows_how_many_pass():
    query = QUERIES[0]
    cosines = VECTORS @ query
    half, few = cosines <= np.quantile(cosines, 0.5), np.arange(ITEMS) < 5
    far = cosines <= np.quantile(cosines, 0.97)

    def plan(allowed: np.ndarray, **limits: float) -> str:
        return filtered.nearest(INDEX, SKETCH, VECTORS, query, 10, allowed, **limits).plan

    assert plan(half) == "scan"
    assert (plan(half, scan_up_to=5), plan(few, scan_up_to=5)) == ("sketch", "scan")
    assert plan(np.arange(ITEMS) > 5, scan_up_to=5) == "index"
    # 97% of the items pass, but the index returns only items that do not pass.
    assert plan(far, scan_up_to=5) == "index, then sketch"
    assert plan(half, scan_up_to=5, scan_share=0.6) == "scan"


def test_filters_that_keep_hardly_any_item_out_hardly_ever_need_the_sketch():
    random = np.random.default_rng(3)
    plans = [
        without_scan(INDEX, SKETCH, VECTORS, QUERIES[0], 20, random.random(ITEMS) < share).plan
        for share in (0.92, 0.95, 0.98)
        for _ in range(100)
    ]
    assert plans.count("index") >= 290


def test_equal_items_come_in_row_order():
    vectors = np.repeat(unit(4, 1), 50, axis=0)
    allowed = np.arange(50) % 2 == 1
    for made in (None, sketch(vectors, vectors[:1])):
        found = without_scan(ExactIndex(vectors), made, vectors, vectors[0], 7, allowed)
        assert found.rows.tolist() == [1, 3, 5, 7, 9, 11, 13]


@pytest.mark.skipif(importlib.util.find_spec("scann") is None, reason="no ScaNN on this platform")
def test_scann_gives_as_many_as_pass_and_only_those(tmp_path):
    index = build_index(VECTORS, tmp_path, IndexConfig("scann", depth=20), QUERIES)
    vectors = open_vectors(tmp_path)
    random = np.random.default_rng(5)
    for share in SHARES:
        allowed = random.random(ITEMS) < share
        for k in (1, 20, ITEMS):
            found = without_scan(index, SKETCH, vectors, QUERIES[2], k, allowed)
            assert len(set(found.rows.tolist())) == min(k, allowed.sum())
            assert allowed[found.rows].all()
            assert (np.diff(found.cosines) <= 0).all()
