"""The channel of the user tower: the items that fit a history, as learned from next sessions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int32

from base.errors import InputError
from catalog.catalogue import Catalogue
from catalog.events import EVENT_TYPES
from search import bundle as bundle_files
from search.channels.base import (
    AddedRows,
    Allowed,
    ChannelHits,
    MemoryWriter,
    Query,
    UserVector,
)
from search.channels.dense import DenseChannel
from search.channels.model_items import ModelItems
from search.people.history import NO_HISTORY, History, Interests
from search.people.reasons import ReasonKind
from search.people.weights import USER_TOWER
from towers.history.blocks import (
    NEIGHBOURS,
    NEW_BIAS,
    ItemBlocks,
    is_new,
    neighbours,
    weighted_sum,
)
from towers.history.forward import MAX_EVENTS, UserInput
from towers.history.model import HistoryConfig
from towers.history.saving import read_history_config


@dataclass(frozen=True)
class UserTowerChannel:
    """Finds the items with the largest inner product with the user's vector.

    The vectors have a text block, and a block of the residual and of the moment. The few thousand
    items with a block of their own are compared with the whole vector. The vector index finds the
    other items by the text block alone. Each of them is then scored with the blocks of similar
    items, see `ItemBlocks`. A score is 0 for the median of the items with a block of their own, and
    1 for the best of them.

    Attributes:
        config: The configuration of the tower.
        items: The rows of the items that the tower was trained with.
        blocks: The blocks of these items.
        numbers: The number in `blocks` of the item in each row. The rows of other items follow
            behind these numbers, in the order of `near`.
        near: The own blocks that are near each of the other items, as in `ItemBlocks`.
        weights: The weight of each of these own blocks.
        own_rows: Row of each item with a block of its own; -1 if the catalogue lacks the item.
        own_text: Text vector of these items.
        dense: The channel that has the text vectors.
    """

    config: HistoryConfig
    items: ModelItems
    blocks: ItemBlocks
    numbers: Int32[np.ndarray, " rows"]
    near: Int32[np.ndarray, "others neighbours"]
    weights: Float32[np.ndarray, "others neighbours"]
    own_rows: Int32[np.ndarray, " own"]
    own_text: Float32[np.ndarray, "own text"]
    dense: DenseChannel | None = None

    name: ClassVar[str] = USER_TOWER
    default_weight: ClassVar[float] = 0.1  # in a search with a person; see `HistoryChannel`
    reason: ClassVar[ReasonKind] = ReasonKind.NEXT

    @classmethod
    def open(cls, bundle: Path, catalogue: Catalogue) -> "UserTowerChannel":
        """Open the blocks of a bundle; `over` gives the channel the vectors; see `Channel.open`."""
        directory = bundle / bundle_files.PEOPLE
        config = read_history_config(directory)
        items = ModelItems.open(directory, catalogue)
        blocks = ItemBlocks.open(directory, config, len(items))
        return cls(
            config,
            items,
            blocks,
            np.zeros(0, np.int32),
            np.zeros((0, NEIGHBOURS), np.int32),
            np.zeros((0, NEIGHBOURS), np.float32),
            np.full(len(blocks.own), -1, np.int32),
            np.zeros((len(blocks.own), config.text_dim), np.float32),
        )

    def over(self, dense: DenseChannel) -> "UserTowerChannel":
        """Return the channel over the vectors of a dense channel, with all of its rows.

        Raises:
            InputError: the text vectors have another width than those of the tower.
        """
        if dense.dim != self.config.text_dim:
            raise InputError(
                f"the user tower reads vectors of width {self.config.text_dim}, and the index has "
                f"vectors of width {dense.dim}; train again"
            )
        if len(self.numbers):
            return replace(self, dense=dense)
        rows = self.items.row_of[self.blocks.own]
        text, known = self.own_text.copy(), rows >= 0
        text[known] = dense.vectors(rows[known])
        filled = replace(self, own_rows=rows, own_text=text, dense=dense)
        return filled._numbered(self.items.number_of, dense.vectors)

    def _numbered(
        self,
        numbers: Int32[np.ndarray, " added"],
        vectors: Callable[[Int32[np.ndarray, " rows"]], Float32[np.ndarray, "rows text"]],
    ) -> "UserTowerChannel":
        """Return the channel with further rows.

        Args:
            numbers: The number of the item in each further row; -1 for an item that is new to the
                tower.
            vectors: Returns the text vectors of some of the further rows, counted from 0.
        """
        new = np.flatnonzero(numbers < 0).astype(np.int32)
        first = len(self.blocks) + len(self.near)
        numbers = numbers.copy()
        numbers[new] = np.arange(first, first + len(new))
        near, weights = neighbours(vectors(new), self.own_text)
        return replace(
            self,
            numbers=np.concatenate([self.numbers, numbers]),
            near=np.concatenate([self.near, near]),
            weights=np.concatenate([self.weights, weights]),
        )

    def writer(self, *_: object) -> MemoryWriter:
        """Return a writer that follows items to their new rows; see `Channel.writer`."""
        return MemoryWriter(self)

    def extended(self, added: AddedRows) -> "UserTowerChannel":
        """Return the channel with more rows; a new item takes the blocks of similar items."""
        items = self.items.extended(added)
        rows, text = items.row_of[self.blocks.own], self.own_text
        moved = rows >= added.first
        if moved.any():
            text = text.copy()
            text[moved] = added.vectors[rows[moved] - added.first]
        channel = replace(self, items=items, own_rows=rows, own_text=text)
        return channel._numbered(items.number_of[added.first :], lambda new: added.vectors[new])

    def user(self, history: History, context: Mapping[str, str]) -> UserInput | None:
        """Return a person as an input of the tower; None without events that the tower reads."""
        codes = [EVENT_TYPES.index(name) for name in self.config.read_types]
        read = np.flatnonzero(np.isin(history.types, codes) & ~history.taken_back)[-MAX_EVENTS:]
        if not len(read):
            return None
        rows, width = history.rows[read], self.config.residual_dim
        block = self._events(rows)
        return UserInput(
            self._dense.vectors(rows),
            block[:, :width],
            block[:, width:],
            history.types[read],
            history.ages[read],
            context=context,
        )

    def user_vector(self, vector: Float32[np.ndarray, " dim"], history: History) -> UserVector:
        """Return what a query needs of a person, whose vector the tower made of the history."""
        rows, width = history.interests.rows, self.config.text_dim
        residual = self._events(rows)[:, : self.config.residual_dim]
        interests = np.concatenate([self._dense.vectors(rows), residual], axis=1)
        of_blocks = self.blocks.as_result @ vector[width:]
        return UserVector(vector, self.own_text @ vector[:width] + of_blocks, of_blocks, interests)

    def search(self, query: Query, depth: int, allowed: Allowed = None) -> ChannelHits:
        """Return the `depth` best items; none without a user's vector."""
        if query.user is None:
            return ChannelHits(np.zeros(0, np.int32), np.zeros(0, np.float32))
        of_own = query.user.of_own
        found = self.own_rows >= 0
        if allowed is not None:
            found &= allowed[self.own_rows]
        rows, scores, plan = self.own_rows[found], of_own[found], ""
        text = query.user.vector[: self.config.text_dim]
        norm = np.float32(np.linalg.norm(text))
        others = np.ones(len(self.numbers), np.bool_) if allowed is None else allowed.copy()
        others[self.own_rows[self.own_rows >= 0]] = False
        if norm > 0 and others.any():
            nearest = self._dense.search(Query("", text / norm), depth, others)
            rows = np.concatenate([rows, nearest.rows])
            scores = np.concatenate([scores, self._raw(query.user, nearest.rows)])
            plan = nearest.plan
        scores = self._scaled(scores, of_own)
        order = np.lexsort((rows, -scores))[:depth]
        order = order[scores[order] > 0]
        return ChannelHits(rows[order], scores[order], plan)

    def scores(
        self, query: Query, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the scores of items; 0 without a user's vector."""
        if query.user is None:
            return np.zeros(len(rows), np.float32)
        return self._scaled(self._raw(query.user, rows), query.user.of_own)

    def causes(self, query: Query, row: int) -> Interests:
        """Return the items of the history that speak most for an item."""
        interests = (query.history or NO_HISTORY).interests
        if query.user is None:
            return Interests.ranked(interests.rows, np.zeros(len(interests), np.float32))
        item = np.array([row], np.int32)
        residual = weighted_sum(self.blocks.as_result, *self._near(item))
        residual = residual[:, : self.config.residual_dim]
        vector = np.concatenate([self._dense.vectors(item), residual], axis=1)[0]
        fit = np.maximum(query.user.interests @ vector, 0)
        return Interests.ranked(interests.rows, interests.weights * fit)

    def warm_up(self, depth: int) -> None:
        """Do nothing: the blocks are in memory, and the dense channel is warmed up by itself."""

    @property
    def _dense(self) -> DenseChannel:
        assert self.dense is not None  # `Channels` calls `over`
        return self.dense

    def _near(
        self, rows: Int32[np.ndarray, " items"]
    ) -> tuple[Int32[np.ndarray, "items neighbours"], Float32[np.ndarray, "items neighbours"]]:
        """Return the own blocks that the blocks of the items in some rows consist of."""
        numbers, known = self.numbers[rows], len(self.blocks)
        trained, other = np.minimum(numbers, known - 1), np.maximum(numbers - known, 0)
        near, weights = self.blocks.near[trained], self.blocks.weights[trained]
        is_other = numbers >= known
        near[is_other] = self.near[other[is_other]]
        weights[is_other] = self.weights[other[is_other]]
        return near, weights

    def _events(self, rows: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items block"]:
        """Return the blocks of the items in some rows as parts of a history."""
        return weighted_sum(self.blocks.as_event, *self._near(rows))

    def _raw(
        self, user: UserVector, rows: Int32[np.ndarray, " items"]
    ) -> Float32[np.ndarray, " items"]:
        """Return the inner products of a user's vector with the vectors of items."""
        near, weights = self._near(rows)
        of_text = self._dense.vectors(rows) @ user.vector[: self.config.text_dim]
        of_blocks = (weights * user.of_blocks[near]).sum(axis=1)
        of_bias = np.float32(NEW_BIAS) * user.vector[-1] * is_new(weights)
        return np.asarray(of_text + of_blocks + of_bias, np.float32)

    def _scaled(
        self, scores: Float32[np.ndarray, " items"], of_own: Float32[np.ndarray, " own"]
    ) -> Float32[np.ndarray, " items"]:
        """Map inner products to [0, 1], by the median and the best of the own items."""
        median, best = np.median(of_own), of_own.max()
        shares = (scores - median) / max(best - median, np.float32(1e-6))
        return np.asarray(np.clip(shares, 0, 1), np.float32)
