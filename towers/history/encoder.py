"""User vectors and item vectors at a time, compiled for a fixed set of shapes."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float32, Int, Int32

from base.errors import InputError
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from towers.history.model import Histories, HistoryTower
from towers.history.moment import MomentFeatures
from towers.vectors import Vectors

_EVENTS = (16, 64, 256)  # lengths that histories are padded to
_BATCHES = (1, 8, 64)  # batch sizes that are compiled
_ITEMS = 4096  # items whose moment block is computed at a time


@dataclass(frozen=True)
class HistoryEvent:
    """One event of a history.

    Attributes:
        item: Row of the item, or the text vector of an item that the tower has no row for.
        type: Code of the event's type, in the order of `HistoryConfig.event_types`.
        time: Time in seconds since 1970.
    """

    item: int | Float32[np.ndarray, " text"]
    type: int
    time: int


@dataclass(frozen=True)
class UserRequest:
    """What is known of a user at a moment; every part may be absent.

    Attributes:
        events: The history, oldest first. Only the newest 256 events count.
        query: Unit vector of the query.
        context: Attributes of the moment, such as `{"country": "France"}`.
    """

    events: Sequence[HistoryEvent] = ()
    query: Float32[np.ndarray, " text"] | None = None
    context: Mapping[str, str] = field(default_factory=dict)


class UserEncoder:
    """A user tower with the items' text vectors and features, ready to encode and score."""

    def __init__(
        self,
        tower: HistoryTower,
        text: Vectors,
        moments: MomentFeatures,
        *,
        refresh_seconds: int = 60,
    ) -> None:
        """Compile nothing yet.

        Args:
            tower: The tower; row i of its residuals belongs to row i of `text`.
            text: Unit vectors of the items, from the item tower.
            moments: The features of the items.
            refresh_seconds: Time for which the moment block of the items is kept.

        Raises:
            InputError: the tower has another number of items, or other text vectors.
        """
        config = tower.config
        if text.shape != (config.items, config.text_dim):
            raise InputError(
                f"the history tower has {config.items} items with text vectors of width "
                f"{config.text_dim}, and the index has {text.shape[0]} of width {text.shape[1]}"
            )
        self._text, self._moments, self._config = text, moments, config
        self._refresh_seconds = refresh_seconds
        graph = nnx.graphdef(tower)
        self._users = jax.jit(lambda state, batch: nnx.merge(graph, state)(batch))
        self._blocks = jax.jit(lambda state, x: nnx.merge(graph, state).moment_block(x))
        self._at: tuple[int, Float32[np.ndarray, "items moment"]] | None = None
        self.update(tower)

    def update(self, tower: HistoryTower) -> None:
        """Replace the parameters with those of another tower of the same shape."""
        self._state = nnx.state(tower)
        self._item_residual = np.asarray(tower.item_residual[...])
        self._event_residual = np.asarray(tower.event_residual[...])
        self._at = None

    def moment_block(self, now: int) -> Float32[np.ndarray, "items moment"]:
        """Return the moment block of all items at a time, or up to `refresh_seconds` before it."""
        if self._at is None or not 0 <= now - self._at[0] < self._refresh_seconds:
            rows = np.arange(self._config.items)
            features = self._moments.features(now, rows)
            padded = np.zeros((-(-len(rows) // _ITEMS) * _ITEMS, features.shape[1]), np.float32)
            padded[: len(rows)] = features
            blocks = [
                np.asarray(self._blocks(self._state, padded[start : start + _ITEMS]))
                for start in range(0, len(padded), _ITEMS)
            ]
            self._at = now, np.concatenate(blocks)[: len(rows)]
        return self._at[1]

    def item_vectors(self, now: int) -> Float32[np.ndarray, "items dim"]:
        """Return the vectors of all items: text, residual, and the moment block of a time.

        Only the last columns depend on the time, so an index can keep the others.
        """
        blocks = [self._text[:], self._item_residual, self.moment_block(now)]
        return np.concatenate(blocks, axis=1)

    def encode(
        self, requests: Sequence[UserRequest], now: int
    ) -> Float32[np.ndarray, "requests dim"]:
        """Encode users at a time, in seconds since 1970, to vectors of any length.

        The inner product with a row of `item_vectors(now)` is the score of an item.
        """
        vectors = np.empty((len(requests), self._config.dim), np.float32)
        for start in range(0, len(requests), _BATCHES[-1]):
            chosen = requests[start : start + _BATCHES[-1]]
            vectors[start : start + len(chosen)] = self._encode(chosen, now)
        return vectors

    def histories(self, interactions: Interactions) -> list[UserRequest]:
        """Return each user's history as a request without a query."""
        starts = interactions.starts
        return [
            UserRequest(
                [
                    HistoryEvent(*(int(column[event]) for column in _columns(interactions)))
                    for event in range(max(first, end - _EVENTS[-1]), end)
                ]
            )
            for first, end in pairwise(starts)
        ]

    def scores(self, histories: Interactions, now: int) -> Float32[np.ndarray, "users items"]:
        """Score all items for each history at a time, in seconds since 1970."""
        users = self.encode(self.histories(histories), now)
        return np.asarray(users @ self.item_vectors(now).T)

    def _encode(self, requests: Sequence[UserRequest], now: int) -> Float32[np.ndarray, "rows dim"]:
        size = next(size for size in _BATCHES if size >= len(requests))
        longest = max(len(request.events) for request in requests)
        length = next((length for length in _EVENTS if length >= longest), _EVENTS[-1])
        batch = self._padded([*requests, *[UserRequest()] * (size - len(requests))], length, now)
        return np.asarray(self._users(self._state, batch))[: len(requests)]

    def _padded(self, requests: Sequence[UserRequest], length: int, now: int) -> Histories:
        config, block, size = self._config, self.moment_block(now), len(requests)
        values = max([1, *(len(request.context) for request in requests)])
        batch = Histories(
            text=np.zeros((size, length, config.text_dim), np.float32),
            residual=np.zeros((size, length, config.residual_dim), np.float32),
            moment=np.zeros((size, length, block.shape[1]), np.float32),
            types=np.zeros((size, length), np.int32),
            gap_days=np.full((size, length), -1, np.float32),
            query=np.zeros((size, config.text_dim), np.float32),
            context=np.zeros((size, values), np.int32),
        )
        for row, request in enumerate(requests):
            for column, event in enumerate(request.events[-length:]):
                if isinstance(event.item, np.ndarray):
                    batch.text[row, column] = event.item
                else:
                    batch.text[row, column] = self._text[event.item]
                    batch.residual[row, column] = self._event_residual[event.item]
                    batch.moment[row, column] = block[event.item]
                batch.types[row, column] = event.type
                batch.gap_days[row, column] = max(0, now - event.time) / SECONDS_PER_DAY
            if request.query is not None:
                batch.query[row] = request.query
            codes = context_rows(request.context, config.context_buckets)
            batch.context[row, : len(codes)] = codes
        return batch


def context_rows(context: Mapping[str, str], buckets: int) -> Int32[np.ndarray, " values"]:
    """Return the rows of attributes in a table of `buckets` rows, from 1 on, by their hash."""
    keys = (f"{name}={value}".encode() for name, value in sorted(context.items()))
    return np.array([zlib.crc32(key) % (buckets - 1) + 1 for key in keys], np.int32)


def _columns(interactions: Interactions) -> tuple[Int[np.ndarray, " events"], ...]:
    return interactions.item, interactions.type, interactions.time
