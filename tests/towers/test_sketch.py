"""The cosines that a sketch estimates, compared with the exact cosines."""

import numpy as np
import pytest

from base.errors import InputError
from bench.index.ours import build_index
from towers.index import IndexConfig, open_queries
from towers.sketch import SKETCH_FILE, Sketch, open_sketch, sketch
from towers.vectors import open_vectors


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32) + 0.3
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def estimated(made: Sketch, query: np.ndarray, items: int) -> np.ndarray:
    return made.estimates(query, np.ones(items, bool)).values.ravel()[:items]


@pytest.mark.parametrize(("items", "dim"), [(1, 3), (63, 32), (64, 50), (1_000, 384)])
def test_estimates_are_right_within_their_stated_deviation(items, dim):
    vectors, queries = unit(items, dim, seed=1), unit(200, dim, seed=2)
    made = sketch(vectors, queries[:20])
    errors = np.stack([estimated(made, query, items) - vectors @ query for query in queries])
    assert made.deviation == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.5)
    assert abs(errors.mean()) <= 0.2 * made.deviation + 5 * made.deviation / errors.size**0.5


def test_384_dimensions_are_off_by_a_few_hundredths():
    vectors, queries = unit(2_000, 384, seed=1), unit(20, 384, seed=2)
    # Item vectors are rounded to signs. This alone gives a deviation of
    # sqrt((pi / 2 - 1) / 384), about 0.039.
    assert 0.02 < sketch(vectors, queries).deviation < 0.045


def test_the_estimate_is_the_published_one():
    vectors, query = unit(100, 64, seed=1), unit(1, 64, seed=3)[0]
    made = sketch(vectors, query[None])
    centre, rotation = np.asarray(made._centre, np.float64), np.asarray(made._rotation, np.float64)
    turned = (vectors - centre) @ rotation
    signs = np.where(turned >= 0, 1, -1) / 8  # unit vectors of 64 signs
    norms = np.linalg.norm(turned, axis=1)
    alignment = np.sum(signs * turned, axis=1) / norms  # <o-bar, o>
    expected = query @ centre + norms * (signs @ (query @ rotation)) / alignment
    # Query coordinates are rounded to steps of 0.59 standard deviations, with an error of 0.19
    # standard deviations on average.
    np.testing.assert_allclose(estimated(made, query, 100), expected, atol=0.1)
    assert np.std(estimated(made, query, 100) - expected) < 0.04


def test_items_that_do_not_pass_have_no_estimate_and_no_row():
    vectors, query = unit(200, 16, seed=1), unit(1, 16, seed=2)[0]
    allowed = np.arange(200) % 3 == 0
    found = sketch(vectors, query[None]).estimates(query, allowed)
    assert found.rows(float("-inf")).tolist() == np.flatnonzero(allowed).tolist()
    assert np.isneginf(found.values.ravel()[:200][~allowed]).all()


@pytest.mark.parametrize("count", [1, 3, 16, 17, 500])
def test_a_bound_is_reached_by_at_least_so_many(count):
    vectors, query = unit(1_000, 16, seed=1), unit(1, 16, seed=2)[0]
    found = sketch(vectors, query[None]).estimates(query, np.arange(1_000) < 900)
    bound = found.bound(count)
    rows = found.rows(bound)
    assert len(rows) >= count
    values = found.values.ravel()
    assert rows.tolist() == np.flatnonzero((values >= bound) & np.isfinite(values)).tolist()
    below = found.rows(float("-inf"), below=bound)
    assert sorted([*rows.tolist(), *below.tolist()]) == list(range(900))


def test_equal_and_zero_vectors_are_no_trouble():
    for vectors in (np.tile(unit(1, 8, seed=1), (70, 1)), np.zeros((70, 8), np.float32)):
        made = sketch(vectors, unit(2, 8, seed=2))
        assert np.isfinite(estimated(made, np.zeros(8, np.float32), 70)).all()


def test_it_is_made_alike_twice_and_opens_from_its_file(tmp_path):
    vectors, queries = unit(300, 24, seed=1), unit(3, 24, seed=2)
    made = sketch(vectors, queries)
    made.save(tmp_path)
    for other in (sketch(vectors, queries), Sketch.open(tmp_path)):
        assert other.deviation == made.deviation
        np.testing.assert_array_equal(
            estimated(other, queries[0], 300), estimated(made, queries[0], 300)
        )


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / SKETCH_FILE).write_bytes(b"PK no")
    with pytest.raises(InputError, match=r"sketch\.npz cannot be read"):
        Sketch.open(tmp_path)


def test_an_index_of_many_items_has_one_and_an_earlier_index_gets_one(tmp_path):
    vectors, queries = unit(20_000, 8, seed=1), unit(5, 8, seed=2)
    few, many = tmp_path / "few", tmp_path / "many"
    for directory, items in ((few, 19_999), (many, 20_000)):
        directory.mkdir()
        build_index(vectors[:items], directory, IndexConfig(kind="exact"), queries)
    assert not (few / SKETCH_FILE).exists()
    assert open_sketch(few, open_vectors(few), open_queries(few)) is None
    built = open_sketch(many, open_vectors(many), open_queries(many))
    (many / SKETCH_FILE).unlink()  # earlier versions built no sketch
    earlier = open_sketch(many, open_vectors(many), open_queries(many))
    assert built is not None
    assert earlier is not None
    np.testing.assert_array_equal(
        estimated(built, queries[0], 20_000), estimated(earlier, queries[0], 20_000)
    )


def test_a_compressed_file_is_refused(tmp_path):
    np.savez_compressed(tmp_path / SKETCH_FILE, codes=np.zeros(10**7))
    with pytest.raises(
        InputError, match=r"sketch\.npz cannot be read: an array in it is compressed"
    ):
        Sketch.open(tmp_path)
