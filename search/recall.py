"""Stage 1: which items are worth a closer look, and which channel found them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from search import filtered
from towers.index import VectorIndex


@dataclass(frozen=True)
class Candidates:
    """What stage 1 recalls, best first.

    Attributes:
        rows: Rows of the items.
        cosines: Of their vectors with the query's.
        plan: How filtered ones were found (see `filtered.Plan`); "" without a filter.
    """

    rows: Int32[np.ndarray, " found"]
    cosines: Float32[np.ndarray, " found"]
    plan: str = ""

    def __len__(self) -> int:
        return len(self.rows)


class Recall:
    """The channels of one catalogue."""

    def __init__(self, index: VectorIndex, vectors: Float32[np.ndarray, "items dim"]) -> None:
        """Take the vector index, and the vectors it was built from."""
        self._index = index
        self._vectors = vectors

    def nearest(
        self,
        vector: Float32[np.ndarray, " dim"],
        depth: int,
        allowed: Bool[np.ndarray, " items"] | None = None,
    ) -> Candidates:
        """The items nearest to a query's vector: never fewer than `depth` where there are more.

        With `allowed`, only items that it is true of are found.
        """
        if allowed is not None:
            found = filtered.nearest(self._index, self._vectors, vector, depth, allowed)
            return Candidates(found.rows, found.cosines, found.plan)
        rows, cosines = self._index.search(vector[None], depth)
        return Candidates(rows[0], cosines[0])

    def cosines(
        self, vector: Float32[np.ndarray, " dim"], rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Cosines of a query's vector with those of items."""
        found: Float32[np.ndarray, " items"] = self._vectors[rows] @ vector
        return found

    def warm_up(self, depth: int) -> None:
        """Compile or touch whatever a first search at that depth would wait for."""
        self._index.warm_up(depth)
