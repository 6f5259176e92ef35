"""Exact search: every item is compared with the query."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from base.errors import InputError
from towers.vectors import Vectors

QUERY_BATCHES = (1, 8, 64)  # batch shapes that exact search compiles
EXACT_DEPTHS = (256, 2048)  # depths that exact search compiles; powers of two beyond
_CHUNK = 512  # candidates compared at a time: they stay in the processor's cache
BLOCK = 10_000  # vectors at a time that are read from a file and compared


class ExactIndex:
    """Every item scored, in JAX, on whatever device JAX runs on."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = jnp.asarray(vectors[:])
        self._items = len(vectors)

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
        """See `index.VectorIndex.search`. Equal scores come in row order."""
        k = min(k, self._items)
        depth = self._depth(k)
        rows = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        for start in range(0, len(queries), QUERY_BATCHES[-1]):
            part = queries[start : start + QUERY_BATCHES[-1]]
            batch = next(size for size in QUERY_BATCHES if size >= len(part))
            padded = np.zeros((batch, queries.shape[1]), np.float32)
            padded[: len(part)] = part
            best, where = _exact_top(self._vectors, padded, depth)
            rows[start : start + len(part)] = np.asarray(where)[: len(part), :k]
            scores[start : start + len(part)] = np.asarray(best)[: len(part), :k]
        return rows, scores

    def warm_up(self, k: int) -> None:
        """Compile the shapes of one query, at depth k and at every smaller one."""
        for depth in {self._depth(min(depth, k, self._items)) for depth in EXACT_DEPTHS}:
            self.search(np.zeros((1, self._vectors.shape[1]), np.float32), depth)

    def report(self) -> dict[str, Any]:
        """See `index.VectorIndex.report`."""
        return {"kind": "exact"}

    def _depth(self, k: int) -> int:
        """The depth that is compiled for k results: few, so that serving meets no other."""
        depth = next((depth for depth in EXACT_DEPTHS if depth >= k), _next_power(k))
        return min(depth, self._items)


def _next_power(k: int) -> int:
    return 1 << max(0, k - 1).bit_length()


@partial(jax.jit, static_argnames="k")
def _exact_top(
    vectors: Float[Array, "items dim"], queries: Float[Array, "queries dim"], k: int
) -> tuple[Float[Array, "queries k"], Int[Array, "queries k"]]:
    # Full float32, also where the platform would rather multiply in less.
    cosines = jnp.einsum("qd,nd->qn", queries, vectors, precision=jax.lax.Precision.HIGHEST)
    scores, rows = jax.lax.top_k(cosines, k)
    return scores, rows


def blocks(
    vectors: Vectors,
) -> Iterator[tuple[Int32[np.ndarray, " rows"], Float32[np.ndarray, "rows dim"]]]:
    """Rows and their vectors, for `nearest`: a block at a time, so that a file is never whole."""
    for start in range(0, len(vectors), BLOCK):
        part = vectors[start : start + BLOCK]
        yield np.arange(start, start + len(part), dtype=np.int32), part


def require_finite(kind: str, vectors: Vectors) -> None:
    """Check vectors, which are read a block at a time.

    NaN is nearest to everything in one kind of search and to nothing in another.

    Raises:
        InputError: a number is not finite; names the first row that has one.
    """
    for rows, part in blocks(vectors):
        broken = rows[~np.isfinite(part).all(axis=1)]
        if len(broken):
            raise InputError(
                f"index: the {kind} vector of row {broken[0]} is not finite; "
                "the towers that made it are damaged: train them again"
            )


def nearest(
    compared: Iterable[tuple[Int32[np.ndarray, " rows"], Float32[np.ndarray, "rows dim"]]],
    queries: Float32[np.ndarray, "queries dim"],
    k: int,
) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
    """Rows and scores of the k nearest items of each query, best first, in bounded memory.

    All vectors are finite, as those of an index and of an encoder are.

    Args:
        compared: All items, a block at a time, in row order; equal scores come in that order.
        queries: A sample; the scores of one block with all of them are held at once.
        k: How many are wanted; cut to the number of items.
    """
    rows = [np.zeros(0, np.int32) for _ in queries]
    scores = [np.zeros(0, np.float32) for _ in queries]
    for numbers, vectors in compared:
        for query, found in enumerate(queries @ vectors.T):
            held = scores[query]
            # Where k are held already, an equal one comes too late.
            least = held[-1] if 0 < k <= len(held) else -np.inf
            better = np.flatnonzero(found > least)
            merged = np.concatenate([held, found[better]])
            best = np.argsort(-merged, kind="stable")[:k]
            scores[query] = merged[best]
            rows[query] = np.concatenate([rows[query], numbers[better]])[best]
    if not rows:
        return np.zeros((0, k), np.int32), np.zeros((0, k), np.float32)
    return np.stack(rows), np.stack(scores)


def nearest_of(
    vectors: Vectors,
    query: Float32[np.ndarray, " dim"],
    k: int,
    rows: Int[np.ndarray, " candidates"],
) -> tuple[Int32[np.ndarray, " found"], Float32[np.ndarray, " found"]]:
    """The k nearest of some items, equal ones in the order of `rows`; fewer where there are.

    Args:
        vectors: Unit vectors of all items; may lie in a file (see `open_vectors`).
        query: A query's unit vector.
        k: How many are wanted.
        rows: The items to be compared, each once.
    """
    cosines = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        np.dot(vectors.take(rows[part], axis=0), query, out=cosines[part])
    if k < len(rows) and len(rows) > _CHUNK:  # fewer are sorted faster than looked through
        # All that are as good as the k-th best, so that its equals are chosen in order.
        enough = np.flatnonzero(cosines >= np.partition(cosines, len(rows) - k)[len(rows) - k])
        rows, cosines = rows[enough], cosines[enough]
    order = np.argsort(-cosines, kind="stable")[:k]
    return rows[order].astype(np.int32), cosines[order]


def recall(exact: Int[np.ndarray, "queries k"], found: Int[np.ndarray, "queries k"]) -> float:
    """The share of the exact nearest rows that is among those found, whatever their order.

    1 where there are none to be found.
    """
    if not exact.size:
        return 1.0
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True))
    return hits / exact.size
