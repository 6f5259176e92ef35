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

QUERY_BATCHES = (1, 8, 64)  # numbers of queries that exact search compiles programs for
# Numbers of results that exact search compiles programs for in advance. A search for more results
# than the largest number uses the next power of two.
EXACT_DEPTHS = (256, 2048)
_CHUNK = 512  # candidates compared at a time: their vectors fit into the processor's cache
BLOCK = 10_000  # vectors read from a file and compared at a time


class ExactIndex:
    """Score every item in JAX, on JAX's default device."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = jnp.asarray(vectors[:])
        self._items = len(vectors)

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
        """See `index.VectorIndex.search`. Items with equal scores are in row order."""
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
        """Compile the programs for one query and up to k results."""
        for depth in {self._depth(min(depth, k, self._items)) for depth in EXACT_DEPTHS}:
            self.search(np.zeros((1, self._vectors.shape[1]), np.float32), depth)

    def report(self) -> dict[str, Any]:
        """See `index.VectorIndex.report`."""
        return {"kind": "exact"}

    def _depth(self, k: int) -> int:
        """Round k up to a number of results that has a compiled program."""
        depth = next((depth for depth in EXACT_DEPTHS if depth >= k), _next_power(k))
        return min(depth, self._items)


def _next_power(k: int) -> int:
    return 1 << max(0, k - 1).bit_length()


@partial(jax.jit, static_argnames="k")
def _exact_top(
    vectors: Float[Array, "items dim"], queries: Float[Array, "queries dim"], k: int
) -> tuple[Float[Array, "queries k"], Int[Array, "queries k"]]:
    # Compute in full float32, even if the platform's default precision is lower.
    cosines = jnp.einsum("qd,nd->qn", queries, vectors, precision=jax.lax.Precision.HIGHEST)
    scores, rows = jax.lax.top_k(cosines, k)
    return scores, rows


def blocks(
    vectors: Vectors, size: int = BLOCK
) -> Iterator[tuple[Int32[np.ndarray, " rows"], Float32[np.ndarray, "rows dim"]]]:
    """Yield row numbers and vectors in blocks, so that the whole file is never in memory."""
    for start in range(0, len(vectors), size):
        part = vectors[start : start + size]
        yield np.arange(start, start + len(part), dtype=np.int32), part


def require_finite(kind: str, vectors: Vectors, block: int = BLOCK) -> None:
    """Check that all numbers are finite, a block of vectors at a time.

    A vector with NaN would give wrong results: in one kind of index, it is the nearest to every
    query; in another kind, it is never found.

    Raises:
        InputError: a number is not finite; the message names the first row with such a number.
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

    All vectors must be finite. The vectors of indexes and encoders are always finite.

    Args:
        compared: Row numbers and vectors of all items, in blocks, in row order. Items with equal
            scores stay in this order.
        queries: Query vectors. Memory holds the scores of all queries for one block at a time.
        k: Number of items to return for each query; at most the number of all items.
    """
    rows = [np.zeros(0, np.int32) for _ in queries]
    scores = [np.zeros(0, np.float32) for _ in queries]
    for block_rows, vectors in compared:
        for query, cosines in enumerate(queries @ vectors.T):
            best_scores = scores[query]
            # Once a query has k items, add only items with a higher score than the k-th item. Of
            # several items with equal scores, the first ones are therefore kept.
            lowest = best_scores[-1] if 0 < k <= len(best_scores) else -np.inf
            better = np.flatnonzero(cosines > lowest)
            merged = np.concatenate([best_scores, cosines[better]])
            best = np.argsort(-merged, kind="stable")[:k]
            scores[query] = merged[best]
            rows[query] = np.concatenate([rows[query], block_rows[better]])[best]
    if not rows:
        return np.zeros((0, k), np.int32), np.zeros((0, k), np.float32)
    return np.stack(rows), np.stack(scores)


def nearest_of(
    vectors: Vectors,
    query: Float32[np.ndarray, " dim"],
    k: int,
    rows: Int[np.ndarray, " candidates"],
    chunk: int = _CHUNK,
) -> tuple[Int32[np.ndarray, " results"], Float32[np.ndarray, " results"]]:
    """Return the k nearest of the given items, best first; ties stay in the order of `rows`.

    Args:
        vectors: Unit vectors of all items; may be a memory-mapped file (see `open_vectors`).
        query: A query's unit vector.
        k: Maximum number of items to return.
        rows: Distinct rows of the items to compare.
        chunk: Number of items compared at a time.
    """
    cosines = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        np.dot(vectors.take(rows[part], axis=0), query, out=cosines[part])
    if k < len(rows) and len(rows) > chunk:  # for few rows, sorting all is faster
        # Keep all items that tie with the k-th best, so that the sort picks the first tied items.
        kth_best = np.partition(cosines, len(rows) - k)[len(rows) - k]
        selected = np.flatnonzero(cosines >= kth_best)
        rows, cosines = rows[selected], cosines[selected]
    order = np.argsort(-cosines, kind="stable")[:k]
    return rows[order].astype(np.int32), cosines[order]


def recall(exact: Int[np.ndarray, "queries k"], approximate: Int[np.ndarray, "queries k"]) -> float:
    """Return the share of the exact nearest rows that are among the approximate rows.

    The order of rows does not matter. Without exact rows, the share is 1.
    """
    if not exact.size:
        return 1.0
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(exact, approximate, strict=True))
    return hits / exact.size
