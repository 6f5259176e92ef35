import numpy as np
import pytest

from search.runtime.cache import VectorCache

WIDTH = 4


class Counting:
    """Computes vectors, and records the positions of the keys whose vectors it computes."""

    def __init__(self, keys) -> None:
        self.keys = keys
        self.asked: list[list[int]] = []

    def __call__(self, missing: np.ndarray) -> np.ndarray:
        self.asked.append(missing.tolist())
        return np.stack([vector_of(self.keys[at]) for at in missing])


def vector_of(key) -> np.ndarray:
    return np.full(WIDTH, hash(key) % 1000, np.float32)


def ask(cache: VectorCache, keys) -> tuple[list[list[int]], int]:
    compute = Counting(keys)
    found, known = cache.rows(keys, compute, WIDTH)
    np.testing.assert_array_equal(found, np.stack([vector_of(key) for key in keys]))
    return compute.asked, known


def test_only_missing_vectors_are_computed():
    cache = VectorCache(1 << 20)
    assert ask(cache, ["a", "b"]) == ([[0, 1]], 0)
    assert ask(cache, ["c", "b", "d", "a"]) == ([[0, 2]], 2)
    assert ask(cache, ["d", "d"]) == ([], 2)
    report = cache.report()
    assert (report.entries, report.hits, report.misses) == (4, 4, 4)
    assert report.hit_rate == 0.5


def test_a_query_and_an_item_form_one_key():
    cache = VectorCache(1 << 20)
    ask(cache, [("usb", 1), ("usb", 2)])
    assert ask(cache, [("usb", 2), ("hub", 2)]) == ([[1]], 1)


def test_the_least_recently_used_vectors_are_evicted_to_bound_the_bytes():
    probe = VectorCache(1 << 20)
    ask(probe, ["a"])
    size = probe.report().bytes
    cache = VectorCache(3 * size)
    ask(cache, ["a", "b", "c"])
    ask(cache, ["a"])  # now "b" is the least recently used key
    ask(cache, ["d"])
    assert cache.report().entries == 3
    assert cache.report().bytes <= 3 * size
    assert ask(cache, ["a", "c", "d"])[0] == []
    assert ask(cache, ["b"])[0] == [[0]]


def test_a_cache_of_no_bytes_keeps_nothing():
    cache = VectorCache(0)
    for _ in range(2):
        assert ask(cache, ["a"]) == ([[0]], 0)
    assert (cache.report().entries, cache.report().bytes) == (0, 0)


def test_an_error_caches_nothing():
    cache = VectorCache(1 << 20)

    def fail(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("no model")

    with pytest.raises(RuntimeError, match="no model"):
        cache.rows(["a"], fail, WIDTH)
    assert cache.report().entries == 0
    ask(cache, ["a"])


def test_a_cached_vector_does_not_keep_its_batch_in_memory():
    cache = VectorCache(1 << 20)
    batch = np.ones((2, WIDTH), np.float32)
    cache.rows(["a", "b"], lambda _: batch, WIDTH)
    batch[:] = 7
    assert cache.rows(["a"], Counting(["a"]), WIDTH)[0].tolist() == [[1.0] * WIDTH]
