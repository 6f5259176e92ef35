"""What the engine remembers of model results: bounded in bytes, the longest unused goes first.

An engine is of one bundle, so what it remembers is too. Only what depends on its key alone may be
kept here: a query's vector, what a (query, item) pair's text contributes to its score. Features
that depend on the day, the user or the other candidates never are.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int64

# A query, or a query and an item row.
Key: TypeAlias = str | tuple[str, int]

_ENTRY_BYTES = 300  # of Python's own for each entry: the array's header, the key, the dictionary


@dataclass(frozen=True)
class CacheReport:
    """What a cache holds and how often it knew the answer."""

    entries: int
    bytes: int
    hits: int
    misses: int

    @property
    def hit_rate(self) -> float:
        """Share of look-ups that found something; 0 before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class VectorCache:
    """Vectors of one width by key. Safe to use from several threads."""

    def __init__(self, max_bytes: int) -> None:
        """Empty; `max_bytes` of 0 keeps nothing."""
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
        """The vectors of some keys, one a row, and how many of them were known.

        Args:
            keys: What is asked for.
            compute: Given the places in `keys` of those that are not known, makes their vectors.
            width: Numbers of a vector.
        """
        found = self.find(keys)
        result = np.empty((len(keys), width), np.float32)
        missing = np.array([at for at, vector in enumerate(found) if vector is None], np.int64)
        for at, vector in enumerate(found):
            if vector is not None:
                result[at] = vector
        if len(missing):
            result[missing] = fresh = compute(missing)
            self.keep([keys[at] for at in missing.tolist()], fresh)
        return result, len(keys) - len(missing)

    def find(self, keys: Sequence[Key]) -> list[Float32[np.ndarray, " width"] | None]:
        """The vectors of some keys; None where one is not known."""
        with self._lock:
            found = [self._vectors.get(key) for key in keys]
            for key, vector in zip(keys, found, strict=True):
                if vector is not None:
                    self._vectors.move_to_end(key)
            missed = sum(vector is None for vector in found)
            self._hits += len(keys) - missed
            self._misses += missed
        return found

    def keep(self, keys: Sequence[Key], vectors: Float32[np.ndarray, "keys width"]) -> None:
        """Remember vectors by their keys, and forget the longest unused where they are too many."""
        with self._lock:
            for key, vector in zip(keys, vectors, strict=True):
                if key not in self._vectors:
                    self._bytes += _size(key, vector)
                    # A copy: a row would keep the whole batch alive.
                    self._vectors[key] = vector.copy()
            while self._bytes > self._max_bytes:
                self._bytes -= _size(*self._vectors.popitem(last=False))

    def report(self) -> CacheReport:
        """What there is and how it did so far."""
        with self._lock:
            return CacheReport(len(self._vectors), self._bytes, self._hits, self._misses)


def _size(key: Key, vector: Float32[np.ndarray, " width"]) -> int:
    text = key if isinstance(key, str) else key[0]
    return vector.nbytes + sys.getsizeof(text) + _ENTRY_BYTES
