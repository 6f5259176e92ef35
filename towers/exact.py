"""Exact search: every item is compared with the query."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

QUERY_BATCHES = (1, 8, 64)  # batch shapes that exact search compiles
EXACT_DEPTHS = (256, 2048)  # depths that exact search compiles; powers of two beyond


class ExactIndex:
    """Every item scored, in JAX, on whatever device JAX runs on."""

    def __init__(self, vectors: Float32[np.ndarray, "items dim"]) -> None:
        self._vectors = jnp.asarray(vectors)
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
