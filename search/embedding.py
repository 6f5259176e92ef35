"""Vectors of whatever callers want encoded."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from catalog.item_text import item_text
from catalog.schema import Item
from search import validation
from search.result import Embedded
from search.runtime.cache import VectorCache
from search.runtime.deadline import Clock, Remembered
from towers.encoder import TowerEncoder


def embedded(encoder: TowerEncoder, inputs: Sequence[str | Item], clock: Clock) -> Embedded:
    """Unit vectors of queries (texts) and items, each from the tower of its kind.

    Args:
        encoder: The towers.
        inputs: What to encode.
        clock: Of the request.

    Raises:
        RequestError: an input is out of its limits.
        DeadlineExceededError: the deadline passed.
    """
    checked = validation.inputs(inputs)
    queries = {row: given for row, given in enumerate(checked) if isinstance(given, str)}
    items = {row: item_text(given) for row, given in enumerate(checked) if isinstance(given, Item)}
    vectors = np.empty((len(checked), encoder.dim), np.float32)
    for texts, encode in ((queries, encoder.queries), (items, encoder.items)):
        if texts:
            with clock.stage("encode", len(texts)):
                vectors[list(texts)] = encode(list(texts.values()))
    return Embedded(vectors, tuple(clock.stages))


class QueryVectors:
    """Vectors of queries, each made once as long as it is remembered."""

    def __init__(self, encoder: TowerEncoder, cache: VectorCache) -> None:
        """Take the towers, and memory for what they made of queries."""
        self._encoder = encoder
        self._cache = cache

    def vector(
        self, query: str, remembered: Remembered | None = None
    ) -> Float32[np.ndarray, " dim"]:
        """The unit vector of a query in its normal form; `remembered` is told if it was known."""
        vectors, known = self._cache.rows(
            [query], lambda _: self._encoder.queries([query]), self._encoder.dim
        )
        if remembered is not None:
            remembered(known)
        vector: Float32[np.ndarray, " dim"] = vectors[0]
        return vector

    def timed(self, query: str, clock: Clock) -> Float32[np.ndarray, " dim"]:
        """The same as a stage of a request.

        Raises:
            DeadlineExceededError: the deadline passed.
        """
        with clock.stage("encode", 0) as remembered:
            return self.vector(query, remembered)
