"""Encode the texts of requests: queries, and items to embed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from catalog.attribute_roles import AttributeRoles
from catalog.item_text import item_text, normalise_query
from catalog.items import Item
from search.channels.base import Query
from search.result import Embeddings
from search.runtime.cache import VectorCache
from search.runtime.stage_timer import Stage, StageTimer
from search.understanding.interpretation import Interpretation
from towers.encoder import TowerEncoder


def embed(
    encoder: TowerEncoder, inputs: Sequence[str | Item], roles: AttributeRoles, timer: StageTimer
) -> Embeddings:
    """Encode queries (texts) with the query tower and items with the item tower.

    Args:
        encoder: The towers.
        inputs: Queries (texts) and items.
        roles: The roles of the items' attributes.
        timer: The timer of the request.

    Raises:
        DeadlineExceededError: the deadline passed.
    """
    queries = {i: normalise_query(text) for i, text in enumerate(inputs) if isinstance(text, str)}
    items = {i: item_text(item, roles) for i, item in enumerate(inputs) if isinstance(item, Item)}
    vectors = np.empty((len(inputs), encoder.dim), np.float32)
    for texts, encode in ((queries, encoder.queries), (items, encoder.items)):
        if texts:
            with timer.stage("encode", len(texts)):
                vectors[list(texts)] = encode(list(texts.values()))
    return Embeddings(vectors, timer.reports)


class QueryEncoder:
    """Encodes queries, and caches their vectors."""

    def __init__(self, encoder: TowerEncoder, cache: VectorCache) -> None:
        """Encode with the given towers, and cache query vectors in `cache`."""
        self._encoder = encoder
        self._cache = cache

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._encoder.dim

    def is_word(self, text: str) -> bool:
        """Return whether a text is probably a real word; see `TowerEncoder.is_word`."""
        return self._encoder.is_word(text)

    def query(self, interpretation: Interpretation, stage: Stage | None = None) -> Query:
        """Return an understood query in the form that channels use; see `vector`."""
        return Query(
            interpretation.text,
            self.vector(interpretation.text, stage),
            interpretation.lexical_text,
            interpretation.alternatives,
            interpretation.language,
        )

    def vector(self, text: str, stage: Stage | None = None) -> Float32[np.ndarray, " dim"]:
        """Return the unit vector of a query.

        Args:
            text: The normalised query.
            stage: The stage whose `cached` count increases by 1 if the vector was cached.
        """
        vectors, cached = self._cache.rows(
            [text], lambda _: self._encoder.queries([text]), self._encoder.dim
        )
        if stage is not None:
            stage.cached += cached
        vector: Float32[np.ndarray, " dim"] = vectors[0]
        return vector
