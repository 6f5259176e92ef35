"""User vectors and item vectors at a time, for training and evaluation."""

from itertools import pairwise

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float32

from base.errors import InputError
from behaviour.interactions import Interactions
from towers.history.blocks import MAX_OWN, ItemBlocks
from towers.history.forward import MAX_EVENTS, UserForward, UserInput
from towers.history.model import HistoryTower
from towers.history.moment import MomentFeatures

_ITEMS = 4096  # items whose moment block is computed at a time


class UserEncoder:
    """A user tower with the items' text vectors and features, ready to encode and score."""

    def __init__(
        self, tower: HistoryTower, text: Float32[np.ndarray, "items text"], moments: MomentFeatures
    ) -> None:
        """Compile nothing yet.

        Args:
            tower: The tower; row i of its residuals belongs to row i of `text`.
            text: Unit vectors of the items, from the item tower.
            moments: The features of the items.

        Raises:
            InputError: the tower has another number of items, or other text vectors.
        """
        config = tower.config
        if text.shape != (config.items, config.text_dim):
            raise InputError(
                f"the history tower has {config.items} items with text vectors of width "
                f"{config.text_dim}, and the index has {text.shape[0]} of width {text.shape[1]}"
            )
        self._text, self._moments = text, moments
        graph = nnx.graphdef(tower)
        self._users = UserForward(tower)
        self._moment = jax.jit(lambda state, x: nnx.merge(graph, state).moment_block(x))
        self._residuals = [np.asarray(x[...]) for x in (tower.item_residual, tower.event_residual)]
        self._near: tuple[int, ItemBlocks] | None = None
        self._at: tuple[int, ItemBlocks] | None = None
        self.update(tower)

    def update(self, tower: HistoryTower) -> None:
        """Replace the parameters with those of another tower with the same residuals."""
        self._state = nnx.state(tower)
        self._users.update(tower)
        self._at = None

    def blocks(self, now: int) -> ItemBlocks:
        """Return the blocks of all items at a time, in seconds since 1970."""
        if self._at is None or self._at[0] != now:
            near = self._neighbours(now)
            own = near.own
            features = self._moments.features(now, own)
            padded = np.zeros((-(-len(own) // _ITEMS) * _ITEMS, features.shape[1]), np.float32)
            padded[: len(own)] = features
            parts = [
                np.asarray(self._moment(self._state, padded[start : start + _ITEMS]))
                for start in range(0, len(padded), _ITEMS)
            ]
            width = self._users.config.moment_dim + 1
            moment = np.concatenate([np.zeros((0, width), np.float32), *parts])[: len(own)]
            result, event = (np.concatenate([x[own], moment], axis=1) for x in self._residuals)
            self._at = now, near.filled(result, event)
        return self._at[1]

    def _neighbours(self, now: int) -> ItemBlocks:
        """Return empty blocks: the most frequent items of a time have blocks of their own."""
        if self._near is None or self._near[0] != now:
            sales = self._moments.sales(now)
            own = np.argsort(-sales, kind="stable")[: min(MAX_OWN, np.count_nonzero(sales))]
            own = np.sort(own).astype(np.int32)
            nothing = np.zeros((len(own), 0), np.float32)
            self._near = now, ItemBlocks.of(own, nothing, nothing, self._text)
        return self._near[1]

    def item_vectors(self, now: int) -> Float32[np.ndarray, "items dim"]:
        """Return the vectors of all items at a time: text, residual and moment."""
        rows = np.arange(len(self._text), dtype=np.int32)
        return np.concatenate([self._text, self.blocks(now).results(rows)], axis=1)

    def inputs(self, histories: Interactions, now: int) -> list[UserInput]:
        """Return each user's history as an input of the tower; only the newest events count."""
        events = self.blocks(now).events(np.arange(len(self._text), dtype=np.int32))
        ages, width = histories.age_days(now), self._users.config.residual_dim
        users = []
        for first, end in pairwise(histories.starts.tolist()):
            newest = slice(max(first, end - MAX_EVENTS), end)
            items = histories.item[newest]
            users.append(
                UserInput(
                    self._text[items],
                    events[items, :width],
                    events[items, width:],
                    histories.type[newest],
                    ages[newest],
                )
            )
        return users

    def encode(self, histories: Interactions, now: int) -> Float32[np.ndarray, "users dim"]:
        """Encode histories at a time, in seconds since 1970, to vectors of any length.

        The inner product with a row of `item_vectors(now)` is the score of an item.
        """
        return self._users(self.inputs(histories, now))

    def scores(self, histories: Interactions, now: int) -> Float32[np.ndarray, "users items"]:
        """Score all items for each history at a time, in seconds since 1970."""
        return np.asarray(self.encode(histories, now) @ self.item_vectors(now).T)
