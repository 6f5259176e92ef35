"""The history channel: the items that are like the items of the history."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32

from catalog.catalogue import Catalogue
from search import bundle as bundle_files
from search.channels.base import AddedRows, Allowed, ChannelHits, MemoryWriter, Query
from search.channels.dense import DenseChannel
from search.channels.similarity import Similarity
from search.people.history import NO_HISTORY, History, Interests
from search.people.reasons import ReasonKind
from search.people.weights import HISTORY


@dataclass(frozen=True)
class HistoryChannel:
    """Finds the items whose vectors are near the weighted mean of the history's item vectors.

    An item that was just written has a vector of its text, so the channel finds it at once. A score
    is 0 for an item that is as unlike the history as two random items are unlike each other, and 1
    for an item that is equal.

    Attributes:
        similarity: What the cosines of the bundle's items mean.
        dense: The channel that has the vectors.
    """

    similarity: Similarity
    dense: DenseChannel | None = None

    name: ClassVar[str] = HISTORY
    # In a search with a person, an item that is equal to the history gains as much as a cosine that
    # is 0.1 higher.
    default_weight: ClassVar[float] = 0.1
    reason: ClassVar[ReasonKind] = ReasonKind.SIMILAR

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "HistoryChannel":
        """Open the channel of a bundle; `over` gives it the vectors; see `Channel.open`."""
        del catalogue
        return cls(Similarity.read(bundle / bundle_files.BEHAVIOUR))

    def over(self, dense: DenseChannel) -> "HistoryChannel":
        """Return the channel over the vectors of a dense channel."""
        return HistoryChannel(self.similarity, dense)

    def writer(self, *_: object) -> MemoryWriter:
        """Return a writer; the dense channel keeps the vectors of added rows."""
        return MemoryWriter(self)

    def extended(self, added: AddedRows) -> "HistoryChannel":
        """Return the channel itself, because the dense channel has the rows."""
        del added
        return self

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` items nearest to the history; none without a history."""
        vector = self._vector(query.history)
        if vector is None:
            return ChannelHits(np.zeros(0, np.int32), np.zeros(0, np.float32))
        hits = self._dense.search(Query("", vector), depth, allowed)
        scores = self.similarity.scaled(hits.scores)
        found = int(np.count_nonzero(scores > 0))
        return ChannelHits(hits.rows[:found], scores[:found], hits.plan)

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the scaled cosines of the history with items; 0 without a history."""
        vector = self._vector(query.history)
        if vector is None:
            return np.zeros(len(rows), np.float32)
        return self.similarity.scaled(self._dense.scores(Query("", vector), rows))

    def causes(self, query: Query, row: int) -> Interests:
        """Return the items of the history that are most like an item; see `PersonalChannel`."""
        interests = (query.history or NO_HISTORY).interests
        [vector] = self._dense.vectors(np.array([row], np.int32))
        alike = self.similarity.scaled(self._dense.vectors(interests.rows) @ vector)
        return Interests.ranked(interests.rows, interests.weights * alike)

    def warm_up(self, depth: int) -> None:
        """Do nothing: the dense channel is warmed up by itself."""

    @property
    def _dense(self) -> DenseChannel:
        assert self.dense is not None  # `Channels` calls `over`
        return self.dense

    def _vector(self, history: History | None) -> Float32[np.ndarray, " dim"] | None:
        """Return the unit vector of a history; None if the history speaks for no item."""
        if history is None or not len(history.interests):
            return None
        interests = history.interests
        mean = interests.weights @ self._dense.vectors(interests.rows)
        norm = float(np.linalg.norm(mean))
        return (mean / np.float32(norm)).astype(np.float32) if norm > 0 else None
