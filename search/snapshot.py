"""What one request searches: a catalogue with its indexes, all of one moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from catalog.catalogue import Catalogue
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from search import bundle
from search.bundle.building import open_held_out
from search.channels.append_buffer import AppendBuffer
from search.channels.dense import Dense
from search.channels.fusion import Recall
from search.channels.lexical import Lexical
from search.pipeline.selection import Selection
from search.result import Hit, Lookup, SearchResult, UnknownItemsError
from search.runtime.deadline import Clock
from search.signals import SignalSource
from towers.exact import recall
from towers.index import open_index, open_queries
from towers.sketch import open_sketch
from towers.vectors import open_vectors

_SAMPLE = 50  # queries that recall is measured on while serving


@dataclass(frozen=True)
class Snapshot:
    """A state of all items. It never changes; the next write makes another.

    Attributes:
        catalogue: The items.
        recall: The channels that find them.
        signals: What the reranker knows of them beside their text.
        selection: Filters, facets, groups and popularity.
        sample: Unit vectors of some queries that the index was not tuned on, to measure recall on.
    """

    catalogue: Catalogue
    recall: Recall
    signals: SignalSource
    selection: Selection
    sample: Float32[np.ndarray, "sample dim"]

    @classmethod
    def open(cls, directory: Path, manifest: bundle.Manifest) -> "Snapshot":
        """The items of a bundle that is known to be sound."""
        catalogue = Catalogue.of(ItemStore.read(directory / bundle.ITEMS))
        lexical = LexicalIndex.open(directory / bundle.LEXICAL)
        index = directory / bundle.INDEX
        vectors = open_vectors(index)
        none = AppendBuffer(np.zeros((0, vectors.shape[1]), np.float32))
        sketch = open_sketch(index, vectors, open_queries(index))
        dense = Dense(open_index(index), vectors, none, sketch)
        as_of = date.fromisoformat(manifest.as_of) if manifest.as_of else None
        return cls(
            catalogue,
            Recall(dense, Lexical(lexical)),
            SignalSource(catalogue, lexical, as_of),
            Selection(catalogue),
            open_held_out(index)[:_SAMPLE],
        )

    def changed(self, catalogue: Catalogue, recall: Recall | None = None) -> "Snapshot":
        """The view of another state of the catalogue, and of its indexes where they changed."""
        recall = recall or self.recall
        return Snapshot(
            catalogue,
            recall,
            SignalSource(catalogue, recall.lexical, self.signals.as_of),
            Selection(catalogue, self.selection),
            self.sample,
        )

    def rows(self, item_ids: Sequence[str]) -> Int32[np.ndarray, " items"]:
        """The rows of items; raises UnknownItemsError when some are not there."""
        rows = self.catalogue.rows(item_ids)
        if (rows < 0).any():
            unknown = [i for i, row in zip(item_ids, rows, strict=True) if row < 0]
            raise UnknownItemsError(tuple(unknown))
        return rows

    def lookup(self, item_ids: Sequence[str], clock: Clock) -> Lookup:
        """The items of some ids, and which of the ids there is none of."""
        with clock.stage("lookup", 0):
            rows = self.catalogue.rows(item_ids).tolist()
            items = tuple(self.catalogue.item(row) for row in rows if row >= 0)
        clock.found(len(items))
        missing = tuple(i for i, row in zip(item_ids, rows, strict=True) if row < 0)
        return Lookup(items, missing, tuple(clock.stages))

    def recall_at_10(self, give_way: Callable[[], object] = lambda: None) -> float:
        """The share of the exact 10 nearest items that is found, over a sample of queries.

        The index is as it was built, and some of what it finds is dead: this is how that tells. All
        vectors are read for it.

        Args:
            give_way: Called before each step, of which none takes more than some hundredths of a
                second; what it raises ends all.
        """
        alive, found = self.catalogue.alive, []
        for query in self.sample:
            give_way()
            found.append(self.recall.nearest(query, 10, alive).rows)
        exact = self.recall.exact(self.sample, 10, self.catalogue.all_alive, give_way)
        return recall(exact, np.stack(found))

    def warm_up(self, depth: int) -> None:
        """Make or touch whatever a first search down to that depth would wait for."""
        self.recall.warm_up(depth)
        self.selection.warm_up()


def still_there(result: SearchResult, snapshot: Snapshot, now: Snapshot) -> SearchResult:
    """A result of one view without the items that another one, which came later, lacks."""
    if now is snapshot:
        return result
    hits = tuple(hit for hit in result.hits if not _gone(hit, snapshot, now))
    return result if len(hits) == len(result.hits) else replace(result, hits=hits)


def _gone(hit: Hit, snapshot: Snapshot, now: Snapshot) -> bool:
    return snapshot.catalogue.row(hit.item_id) >= 0 > now.catalogue.row(hit.item_id)
