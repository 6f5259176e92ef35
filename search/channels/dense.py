"""The dense channel: the items whose vectors are nearest to the query's."""

import numpy as np
from jaxtyping import Float32, Int32

from search.channels import filtered
from search.channels.append_buffer import AppendBuffer
from search.channels.base import Allowed, Query, Ranked
from search.result import Channel
from towers.exact import nearest_of
from towers.index import VectorIndex
from towers.sketch import Sketch
from towers.vectors import Vectors


class Dense:
    """The items nearest to the query's vector, by cosine: as many as there are."""

    name = Channel.DENSE

    def __init__(
        self,
        index: VectorIndex,
        vectors: Vectors,
        added: AppendBuffer,
        sketch: Sketch | None = None,
    ) -> None:
        """Take an index and what lies behind it.

        Args:
            index: Of the first rows.
            vectors: What it was built from.
            added: Vectors of the rows behind them, few enough to compare with every query.
            sketch: Of the indexed vectors; without one, all that pass a filter are compared.
        """
        self._index = index
        self._vectors = vectors
        self._growing = added
        self._added = added.values
        self._sketch = sketch

    def followed_by(self, more: Float32[np.ndarray, "more dim"]) -> "Dense":
        """The same with more rows. For one thread at a time."""
        added = self._growing.followed_by(more) if len(more) else self._growing
        return Dense(self._index, self._vectors, added, self._sketch)

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> Ranked:
        """The nearest items: never fewer than `depth` where there are more."""
        plan, size = "", len(self._vectors)
        if allowed is None:
            found, scores = self._index.search(query.vector[None], depth)
            rows, cosines = found[0], scores[0]
        else:
            within = filtered.nearest(
                self._index, self._sketch, self._vectors, query.vector, depth, allowed[:size]
            )
            rows, cosines, plan = within.rows, within.cosines, within.plan
        if len(self._added):
            chosen = (
                np.arange(len(self._added)) if allowed is None else np.flatnonzero(allowed[size:])
            )
            more, their = nearest_of(self._added, query.vector, min(depth, len(chosen)), chosen)
            rows = np.concatenate([rows, more + np.int32(size)])
            cosines = np.concatenate([cosines, their])
            order = np.argsort(-cosines, kind="stable")[:depth]
            rows, cosines = rows[order], cosines[order]
        return Ranked(rows, cosines, plan)

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Cosines of the query's vector with those of items."""
        return self.cosines(query.vector, rows)

    def cosines(
        self, vector: Float32[np.ndarray, " dim"], rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Cosines of a vector with those of items."""
        return np.asarray(self.vectors(rows) @ vector)

    def vectors(self, rows: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """Unit vectors of items."""
        size = len(self._vectors)
        if not len(self._added):
            return self._vectors.take(rows, axis=0)
        old = rows < size
        found = np.empty((len(rows), self._vectors.shape[1]), np.float32)
        found[old] = self._vectors.take(rows[old], axis=0)
        found[~old] = self._added[rows[~old] - size]
        return found

    def warm_up(self, depth: int) -> None:
        """Compile or touch whatever a first search at that depth would wait for."""
        self._index.warm_up(depth)
        if self._sketch is not None:
            self._sketch.warm_up(len(self._vectors))
