import numpy as np
import pytest

from base.errors import InputError
from tests.towers.examples import unit
from towers.exact import ExactIndex, blocks, nearest, nearest_of, require_finite


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit(2_000, 32, seed=2)


@pytest.mark.parametrize("number", [1, 5, 70])
def test_exact_search_is_brute_force(vectors, queries, number):
    rows, scores = ExactIndex(vectors).search(queries[:number], 9)
    products = queries[:number].astype(np.float64) @ vectors.T
    expected = np.argsort(-products, axis=1)[:, :9]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(products, expected, 1), atol=1e-5)
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)


def test_there_are_never_fewer_than_k_where_k_exist():
    index = ExactIndex(unit(11, 4, seed=0))
    rows, _ = index.search(unit(2, 4, seed=1), 11)
    assert [sorted(found) for found in rows.tolist()] == [list(range(11))] * 2
    assert index.search(unit(2, 4, seed=1), 500)[0].shape == (2, 11)
    assert index.search(unit(2, 4, seed=1), 1)[0].shape == (2, 1)


def test_equal_scores_come_in_row_order():
    index = ExactIndex(np.tile(unit(1, 4, seed=0), (6, 1)))
    assert index.search(unit(1, 4, seed=1), 4)[0].tolist() == [[0, 1, 2, 3]]


def test_no_queries_find_nothing(vectors):
    rows, scores = ExactIndex(vectors).search(np.zeros((0, 32), np.float32), 5)
    assert rows.shape == scores.shape == (0, 5)


def whole(rows: int, dim: int, most: int, seed: int) -> np.ndarray:
    """Return vectors of whole numbers, whose products do not depend on the order of summation."""
    found = np.random.default_rng(seed).integers(-most, most + 1, size=(rows, dim))
    return found.astype(np.float32)


def test_blocks_of_a_mapped_file_give_what_the_whole_gives(tmp_path):
    vectors, queries = whole(2_000, 32, 500, seed=0), whole(70, 32, 500, seed=1)
    np.save(tmp_path / "vectors.npy", vectors)
    stored = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert [len(part) for _, part in blocks(stored, 300)] == [300] * 6 + [200]
    # A block has 300 rows.
    for k in (1, 40, 400):
        rows, scores = nearest(blocks(stored, 300), queries, k)
        expected_rows, expected_scores = ExactIndex(vectors).search(queries, k)
        np.testing.assert_array_equal(rows, expected_rows)
        np.testing.assert_array_equal(scores, expected_scores)
        assert (rows.dtype, scores.dtype) == (np.int32, np.float32)


def test_equal_scores_come_in_row_order_across_blocks():
    vectors, queries = whole(1_000, 4, 2, seed=0), whole(9, 4, 2, seed=1)
    rows, scores = nearest(blocks(vectors, 300), queries, 50)
    assert (np.diff(scores, axis=1) == 0).mean() > 0.8
    expected = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :50]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(rows, ExactIndex(vectors).search(queries, 50)[0])


def test_a_vector_that_is_not_finite_is_found_in_any_block(vectors):
    broken = vectors.copy()
    broken[700, 3] = broken[1_999] = np.nan
    require_finite("item", vectors, 300)
    with pytest.raises(InputError, match="the item vector of row 700 is not finite"):
        require_finite("item", broken, 300)


@pytest.mark.parametrize("chunk", [1, 7, 512])
def test_the_nearest_of_some_rows_are_compared_in_chunks(chunk):
    vectors, [query] = whole(600, 8, 3, seed=0), whole(1, 8, 3, seed=1)
    rows = np.flatnonzero(np.arange(600) % 3)
    found, scores = nearest_of(vectors, query, 30, rows, chunk)
    cosines = vectors[rows] @ query
    assert found.tolist() == rows[np.argsort(-cosines, kind="stable")[:30]].tolist()
    np.testing.assert_array_equal(scores, vectors[found] @ query)


def test_all_are_nearest_where_more_are_wanted(queries):
    rows, scores = nearest(blocks(unit(11, 32, seed=0)), queries, 500)
    assert [sorted(found) for found in rows.tolist()] == [list(range(11))] * 70
    assert (np.diff(scores, axis=1) <= 0).all()


def test_nothing_is_nearest_among_nothing(vectors, queries):
    assert nearest(blocks(vectors[:0]), queries, 5)[0].shape == (70, 0)
    assert nearest(blocks(vectors), queries[:0], 5)[0].shape == (0, 5)
    assert nearest(blocks(vectors), queries, 0)[0].shape == (70, 0)
