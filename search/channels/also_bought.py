"""The channel "also bought": items of people who also have the history's items."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32
from scipy import sparse

from behaviour.models.item_to_item import ItemToItem
from catalog.catalogue import Catalogue
from search import bundle as bundle_files
from search.channels.base import AddedRows, Allowed, ChannelHits, MemoryWriter, Query
from search.channels.model_items import ModelItems
from search.people.history import NO_HISTORY, Interests
from search.people.reasons import ReasonKind
from search.people.weights import ALSO_BOUGHT

BY_PERSON = "also_bought.npz"  # weights between items that one person has
BY_BASKET = "bought_together.npz"  # weights between items of one basket


@dataclass(frozen=True)
class AlsoBoughtChannel:
    """Finds items by the counts of items that people have together.

    The score of an item is the sum, over the items of the history, of the weight of the history's
    item times the model's weight between both items. It is divided by the best score of any item.

    Attributes:
        items: The rows of the models' items.
        by_person: Weights between items that the same people have.
        by_basket: Weights between items that are bought in one basket.
    """

    items: ModelItems
    by_person: sparse.csr_matrix
    by_basket: sparse.csr_matrix

    name: ClassVar[str] = ALSO_BOUGHT
    # In a search with a person, the best item gains as much as a cosine that is 0.1 higher.
    default_weight: ClassVar[float] = 0.1
    reason: ClassVar[ReasonKind] = ReasonKind.BOUGHT_TOGETHER

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "AlsoBoughtChannel":
        """Open the models of a bundle; see `Channel.open`."""
        directory = bundle / bundle_files.BEHAVIOUR
        items = ModelItems.open(directory, catalogue)
        by_person, by_basket = (
            ItemToItem.open(directory / name, len(items)) for name in (BY_PERSON, BY_BASKET)
        )
        return cls(items, by_person.weights, by_basket.weights)

    def writer(self, *_: object) -> MemoryWriter:
        """Return a writer that follows items to their new rows; see `Channel.writer`."""
        return MemoryWriter(self)

    def extended(self, added: AddedRows) -> "AlsoBoughtChannel":
        """Return the channel with more rows. New items have no counts."""
        return AlsoBoughtChannel(self.items.extended(added), self.by_person, self.by_basket)

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` items with the best scores; only items with a score above 0."""
        scores = self._by_number(query)
        numbers = np.flatnonzero(scores)
        rows = self.items.row_of[numbers]
        is_found = rows >= 0
        if allowed is not None:
            is_found &= allowed[rows]
        rows, values = rows[is_found], scores[numbers[is_found]]
        order = np.argsort(-values, kind="stable")[:depth]
        return ChannelHits(rows[order], values[order])

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the scores of items; 0 for items that nobody has together with the history."""
        return self.items.by_row(self._by_number(query), rows)

    def causes(self, query: Query, row: int) -> Interests:
        """Return the items of the history that people have with an item."""
        interests = (query.history or NO_HISTORY).interests
        numbers, number = self.items.number_of[interests.rows], self.items.number_of[row]
        known = numbers >= 0
        weights = np.zeros(len(interests), np.float32)
        if number >= 0 and known.any():
            columns = np.full(np.count_nonzero(known), number)
            between = np.asarray(self._model(query)[numbers[known], columns]).ravel()
            weights[known] = interests.weights[known] * between
        return Interests.ranked(interests.rows, weights)

    def warm_up(self, depth: int) -> None:
        """Do nothing: the counts are in memory."""

    def _model(self, query: Query) -> sparse.csr_matrix:
        together = query.history is not None and query.history.together
        return self.by_basket if together else self.by_person

    def _by_number(self, query: Query) -> Float32[np.ndarray, " numbers"]:
        """Return the score of each of the model's items."""
        scores = np.zeros(len(self.items), np.float32)
        interests = (query.history or NO_HISTORY).interests
        numbers = self.items.number_of[interests.rows]
        known = numbers >= 0
        if not known.any():
            return scores
        model = self._model(query)
        weights = sparse.csr_matrix(interests.weights[known][np.newaxis])
        total = weights @ model[numbers[known]]
        scores[total.indices] = np.maximum(total.data, 0)
        best = scores.max(initial=0)
        return scores / best if best > 0 else scores
