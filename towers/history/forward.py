"""The user tower, compiled for a fixed set of shapes."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int, Int32, Int64

from bert.compiled import BucketedForward, Forward
from towers.history.model import Histories, HistoryConfig, HistoryTower

MAX_EVENTS = 256  # newest events of a history that count
CONTEXT_VALUES = 8  # attributes of the context that count, in the order of their names
_LENGTHS = (32, MAX_EVENTS)  # lengths that histories are padded to
_BATCH_EVENTS = 4096  # events of a full batch, padding included


@dataclass(frozen=True)
class UserInput:
    """A user at a moment, as inputs of the user tower; every part may be absent.

    Attributes:
        text: Text vector of each event's item, oldest first.
        residual: History residual of each event's item; 0 for an item without one.
        moment: Moment block of each event's item.
        types: Code of each event's type, in the order of `HistoryConfig.event_types`.
        gap_days: Days from each event to the moment.
        query: Unit vector of the query; None without a query.
        context: Attributes of the moment, such as `{"country": "France"}`.
    """

    text: Float32[np.ndarray, "events text"]
    residual: Float32[np.ndarray, "events residual"]
    moment: Float32[np.ndarray, "events moment"]
    types: Int[np.ndarray, " events"]
    gap_days: Float32[np.ndarray, " events"]
    query: Float32[np.ndarray, " text"] | None = None
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UserInputs:
    """Users as rows of a `BucketedForward`."""

    users: Sequence[UserInput]
    config: HistoryConfig

    def __len__(self) -> int:
        return len(self.users)

    @property
    def lengths(self) -> Int64[np.ndarray, " users"]:
        """The number of events of each user that count."""
        return np.array([min(len(user.types), MAX_EVENTS) for user in self.users], np.int64)

    def pad(self, rows: Int[np.ndarray, " chosen"] | Sequence[int], length: int, batch: int) -> Any:
        """Return a batch with the newest `length` events of some users."""
        padded = padding(self.config, batch, length)
        for row, number in enumerate(rows):
            user = self.users[int(number)]
            count = min(len(user.types), length)
            newest = slice(len(user.types) - count, None)
            for name in ("text", "residual", "moment", "types", "gap_days"):
                getattr(padded, name)[row, :count] = getattr(user, name)[newest]
            if user.query is not None:
                padded.query[row] = user.query
            codes = context_rows(user.context, self.config.context_buckets)
            padded.context[row, : len(codes)] = codes
        return padded


class UserForward:
    """A user tower that encodes any number of users, on this thread or on a shared one."""

    def __init__(self, tower: HistoryTower) -> None:
        """Split the tower into structure and parameters; compile nothing yet."""
        self.config = config = tower.config
        graph = nnx.graphdef(tower)

        def encode(state: Any, batch: Any) -> Float[Array, "batch dim"]:
            model: HistoryTower = nnx.merge(graph, state)
            return model(batch)

        self._forward = BucketedForward(
            encode,
            _state(tower),
            max_length=MAX_EVENTS,
            lengths=_LENGTHS,
            batch_tokens=_BATCH_EVENTS,
            small_batches=(1,),
            padding=lambda batch, length: padding(config, batch, length),
        )
        self._run: Forward = self._forward

    def __call__(self, users: Sequence[UserInput]) -> Float32[np.ndarray, "users dim"]:
        """Encode users to vectors of any length."""
        return np.asarray(self._run(UserInputs(users, self.config)), np.float32)

    def update(self, tower: HistoryTower) -> None:
        """Replace the parameters with those of another tower of the same shape."""
        self._forward.update(_state(tower))

    def route(self, through: Callable[[BucketedForward], Forward]) -> None:
        """Run through a shared forward, which `through` makes from the tower's own forward."""
        self._run = through(self._forward)

    def warm_up(self, before_each: Callable[[], object] = lambda: None) -> None:
        """Compile every shape; see `BucketedForward.warm_up`."""
        self._forward.warm_up(before_each)

    @property
    def compilations(self) -> int:
        """Number of programs compiled so far."""
        return self._forward.compilations


def padding(config: HistoryConfig, batch: int, length: int) -> Histories:
    """Return a batch of users without events, query and context."""
    return Histories(
        text=np.zeros((batch, length, config.text_dim), np.float32),
        residual=np.zeros((batch, length, config.residual_dim), np.float32),
        moment=np.zeros((batch, length, config.moment_dim + 1), np.float32),
        types=np.zeros((batch, length), np.int32),
        gap_days=np.full((batch, length), -1, np.float32),
        query=np.zeros((batch, config.text_dim), np.float32),
        context=np.zeros((batch, CONTEXT_VALUES), np.int32),
    )


def context_rows(context: Mapping[str, str], buckets: int) -> Int32[np.ndarray, " values"]:
    """Return the rows of attributes in a table of `buckets` rows, from 1 on, by their hash."""
    chosen = sorted(context.items())[:CONTEXT_VALUES]
    keys = (f"{name}={value}".encode() for name, value in chosen)
    return np.array([zlib.crc32(key) % (buckets - 1) + 1 for key in keys], np.int32)


def _state(tower: HistoryTower) -> Any:
    """Return the parameters that encode users, without the residuals of items."""
    state: Any = nnx.state(tower)
    for name in ("item_residual", "event_residual"):
        state[name] = state[name].replace(jnp.zeros((0, tower.config.residual_dim)))
    return state
