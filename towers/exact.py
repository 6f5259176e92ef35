"""Exact search: compare every item with the query."""

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
_CHUNK = 512  # candidates compared at a time: they fit the processor's cache
BLOCK = 10_000  # vectors read from a file and compared at a time


class ExactIndex:
    """Score every item in JAX, on JAX's default device."""

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
        """Return the compiled depth for k results: there are few, and `warm_up` compiles them."""
        depth = next((depth for depth in EXACT_DEPTHS if depth >= k), _next_power(k))
        return min(depth, self._items)


def _next_power(k: int) -> int:
    return 1 << max(0, k - 1).bit_length()


@partial(jax.jit, static_argnames="k")
def _exact_top(
    vectors: Float[Array, "items dim"], queries: Float[Array, "queries dim"], k: int
) -> tuple[Float[Array, "queries k"], Int[Array, "queries k"]]:
    # Full float32, also on platforms whose default precision is lower.
    cosines = jnp.einsum("qd,nd->qn", queries, vectors, precision=jax.lax.Precision.HIGHEST)
    scores, rows = jax.lax.top_k(cosines, k)
    return scores, rows


def blocks(
    vectors: Vectors, size: int = BLOCK
) -> Iterator[tuple[Int32[np.ndarray, " rows"], Float32[np.ndarray, "rows dim"]]]:
    """Yield rows and their vectors in blocks, so that a file is never in memory as a whole."""
    for start in range(0, len(vectors), size):
        part = vectors[start : start + size]
        yield np.arange(start, start + len(part), dtype=np.int32), part


def require_finite(kind: str, vectors: Vectors, block: int = BLOCK) -> None:
    """Check that all numbers are finite, a block of vectors at a time.

    NaN is nearest to everything in one kind of search, and to nothing in another.

    Raises:
        InputError: a number is not finite; the message names the first row with one.
    """
    for rows, part in blocks(vectors, block):
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
    """Return rows and scores of the k nearest items of each query, best first, in bounded memory.

    All vectors must be finite, like those of indexes and encoders.

    Args:
        compared: All items in blocks, in row order; equal scores come in that order.
        queries: Query vectors; the scores of one block with all of them are in memory at once.
        k: Number of items, at most all.
    """
    rows = [np.zeros(0, np.int32) for _ in queries]
    scores = [np.zeros(0, np.float32) for _ in queries]
    for numbers, vectors in compared:
        for query, cosines in enumerate(queries @ vectors.T):
            held = scores[query]
            # With k items held, a later item with an equal score does not count.
            least = held[-1] if 0 < k <= len(held) else -np.inf
            better = np.flatnonzero(cosines > least)
            merged = np.concatenate([held, cosines[better]])
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
) -> tuple[Int32[np.ndarray, " results"], Float32[np.ndarray, " results"]]:
    """Return the nearest of some items, at most k; equal ones come in the order of `rows`.

    Args:
        vectors: Unit vectors of all items; may lie in a file (see `open_vectors`).
        query: A query's unit vector.
        k: Most items to return.
        rows: Distinct rows to compare.
    """
    cosines = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        np.dot(vectors.take(rows[part], axis=0), query, out=cosines[part])
    if k < len(rows) and len(rows) > _CHUNK:  # sorting fewer is faster than selecting
        # Keep all equals of the k-th best, so that the first of them in order are returned.
        enough = np.flatnonzero(cosines >= np.partition(cosines, len(rows) - k)[len(rows) - k])
        rows, cosines = rows[enough], cosines[enough]
    order = np.argsort(-cosines, kind="stable")[:k]
    return rows[order].astype(np.int32), cosines[order]


def recall(exact: Int[np.ndarray, "queries k"], approximate: Int[np.ndarray, "queries k"]) -> float:
    """Return the share of exact nearest rows among the approximate ones, whatever their order.

    Without exact rows, the share is 1.
    """
    if not exact.size:
        return 1.0
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(exact, approximate, strict=True))
    return hits / exact.size
