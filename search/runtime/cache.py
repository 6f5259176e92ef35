"""A cache of model results with a limit in bytes; the least recently used results are evicted.

Each engine has its own caches, so results of different bundles never mix. A cached result depends
only on its key. It is the vector of a query, or the cross-encoder's vector of a (query, item) pair.
Features that depend on the day, the user or the other candidates are never cached.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int64

# The key of a query's vector is the query. The key of a pair's vector is the query and the item's
# row.
Key: TypeAlias = str | tuple[str, int]

_ENTRY_BYTES = 300  # Python's overhead per entry: array header, key and dictionary entry


@dataclass(frozen=True)
class CacheReport:
    """Size and hits of a cache."""

    entries: int
    bytes: int
    hits: int
    misses: int

    @property
    def hit_rate(self) -> float:
        """Share of look-ups that were hits; 0 before the first look-up."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0


class VectorCache:
    """A cache of vectors of one width, by key. The cache is thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        """Start empty; with a `max_bytes` of 0, the cache stays empty."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._vectors: OrderedDict[Key, Float32[np.ndarray, " width"]] = OrderedDict()
        self._lock = threading.Lock()

    def rows(
        self,
        keys: Sequence[Key],
        compute: Callable[[Int64[np.ndarray, " missing"]], Float32[np.ndarray, "missing width"]],
        width: int,
    ) -> tuple[Float32[np.ndarray, "keys width"], int]:
        """Return the vectors of some keys, one per row, and how many of them were cached.

        Args:
            keys: The keys to look up.
            compute: Takes positions in `keys` and returns the vectors of these keys. Called for the
                keys that are not cached.
            width: Length of a vector.
        """
        cached = self.find(keys)
        result = np.empty((len(keys), width), np.float32)
        missing = np.array([row for row, vector in enumerate(cached) if vector is None], np.int64)
        for row, vector in enumerate(cached):
            if vector is not None:
                result[row] = vector
        if len(missing):
            result[missing] = computed = compute(missing)
            self.keep([keys[row] for row in missing.tolist()], computed)
        return result, len(keys) - len(missing)

    def find(self, keys: Sequence[Key]) -> list[Float32[np.ndarray, " width"] | None]:
        """Return the cached vectors of some keys, with None for each key that is not cached."""
        with self._lock:
            vectors = [self._vectors.get(key) for key in keys]
            for key, vector in zip(keys, vectors, strict=True):
                if vector is not None:
                    self._vectors.move_to_end(key)
            misses = sum(vector is None for vector in vectors)
            self._hits += len(keys) - misses
            self._misses += misses
        return vectors

    def keep(self, keys: Sequence[Key], vectors: Float32[np.ndarray, "keys width"]) -> None:
        """Cache vectors by key; evict the least recently used vectors beyond `max_bytes`."""
        with self._lock:
            for key, vector in zip(keys, vectors, strict=True):
                if key not in self._vectors:
                    self._bytes += _size(key, vector)
                    # A copy, because a view would keep the whole batch in memory.
                    self._vectors[key] = vector.copy()
            while self._bytes > self._max_bytes:
                self._bytes -= _size(*self._vectors.popitem(last=False))

    def report(self) -> CacheReport:
        """Return the size and the hits so far."""
        with self._lock:
            return CacheReport(len(self._vectors), self._bytes, self._hits, self._misses)


def _size(key: Key, vector: Float32[np.ndarray, " width"]) -> int:
    text = key if isinstance(key, str) else key[0]
    return vector.nbytes + sys.getsizeof(text) + _ENTRY_BYTES
