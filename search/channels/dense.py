"""The dense channel: the items whose vectors are nearest to the vector of the query."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32

from base.errors import InputError
from catalog.catalogue import Catalogue
from search import bundle as bundle_files
from search.channels import filtered
from search.channels.append_buffer import AppendBuffer
from search.channels.base import AddedRows, Allowed, ChannelHits, MemoryWriter, Query
from search.request import DENSE
from towers.exact import nearest_of
from towers.index import VectorIndex, open_index, open_queries
from towers.sketch import Sketch, open_sketch
from towers.vectors import Vectors, open_vectors


class DenseChannel:
    """Finds the items nearest to the query by cosine. Every item can be found."""

    name: ClassVar[str] = DENSE
    default_weight: ClassVar[float] = 1.0

    def __init__(
        self,
        index: VectorIndex,
        vectors: Vectors,
        added: AppendBuffer,
        sketch: Sketch | None = None,
    ) -> None:
        """Search an index, and the vectors of rows that were added after the index was built.

        Args:
            index: The index of the first rows of the catalogue.
            vectors: The vectors that the index was built from.
            added: Vectors of the rows that follow the indexed rows. A search compares the query
                with these vectors directly, without an index.
            sketch: A sketch of the indexed vectors. Without a sketch, a search with a filter
                compares the query with all items that pass.
        """
        self._index = index
        self._vectors = vectors
        self._append_buffer = added
        self._added = added.values
        self._sketch = sketch

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "DenseChannel":
        """Open the vector index of a bundle; see `Channel.open`."""
        directory = bundle / bundle_files.INDEX
        vectors = open_vectors(directory)
        if len(vectors) != len(catalogue):
            raise InputError(f"{directory} has {len(vectors)} vectors for {len(catalogue)} items")
        added = AppendBuffer(np.zeros((0, vectors.shape[1]), np.float32))
        sketch = open_sketch(directory, vectors, open_queries(directory))
        return cls(open_index(directory), vectors, added, sketch)

    def writer(self, *_: object) -> MemoryWriter:
        """Return a writer that appends the vectors of rows; see `Channel.writer`."""
        return MemoryWriter(self)

    def extended(self, added: AddedRows) -> "DenseChannel":
        """Return a channel with more rows. Only one thread at a time may extend a channel."""
        buffer = self._append_buffer
        if len(added.vectors):
            buffer = buffer.followed_by(added.vectors)
        return DenseChannel(self._index, self._vectors, buffer, self._sketch)

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` nearest items; fewer only if fewer items are allowed."""
        plan, size = "", len(self._vectors)
        if allowed is None:
            index_rows, index_scores = self._index.search(query.vector[None], depth)
            rows, cosines = index_rows[0], index_scores[0]
        else:
            nearest = filtered.nearest(
                self._index, self._sketch, self._vectors, query.vector, depth, allowed[:size]
            )
            rows, cosines, plan = nearest.rows, nearest.cosines, nearest.plan
        if len(self._added):
            chosen = (
                np.arange(len(self._added)) if allowed is None else np.flatnonzero(allowed[size:])
            )
            added_rows, added_cosines = nearest_of(
                self._added, query.vector, min(depth, len(chosen)), chosen
            )
            rows = np.concatenate([rows, added_rows + np.int32(size)])
            cosines = np.concatenate([cosines, added_cosines])
            order = np.argsort(-cosines, kind="stable")[:depth]
            rows, cosines = rows[order], cosines[order]
        return ChannelHits(rows, cosines, plan)

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._vectors.shape[1]

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the cosines of the query with items."""
        return np.asarray(self.vectors(rows) @ query.vector)

    def vectors(self, rows: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """Return the unit vectors of items."""
        size = len(self._vectors)
        if not len(self._added):
            return self._vectors.take(rows, axis=0)
        is_indexed = rows < size
        vectors = np.empty((len(rows), self._vectors.shape[1]), np.float32)
        vectors[is_indexed] = self._vectors.take(rows[is_indexed], axis=0)
        vectors[~is_indexed] = self._added[rows[~is_indexed] - size]
        return vectors

    def warm_up(self, depth: int) -> None:
        """Compile or load everything that a search for `depth` items needs."""
        self._index.warm_up(depth)
        if self._sketch is not None:
            self._sketch.warm_up(len(self._vectors))
