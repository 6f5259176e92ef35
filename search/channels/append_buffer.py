"""Vectors that others are put behind, while some still read those that were there before."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

_LEAST_ROOM = 1_024  # rows


@dataclass
class _Room:
    """Rows that are filled from the front; those that are filled never change."""

    rows: Float32[np.ndarray, "room dim"]
    filled: int


class AppendBuffer:
    """Vectors that never change. One thread at a time may make longer ones of them.

    Attributes:
        values: The vectors, read-only.
    """

    def __init__(self, values: Float32[np.ndarray, "rows dim"]) -> None:
        """Begin with some vectors."""
        self._hold(_Room(values, len(values)), len(values))

    def __len__(self) -> int:
        return len(self.values)

    def followed_by(self, more: Float32[np.ndarray, "more dim"]) -> "AppendBuffer":
        """The same and more behind them, where there is room in memory that both share.

        Each time that there is none all are copied into twice as much: every vector about once.
        """
        size = len(self)
        end = size + len(more)
        room = self._room
        if room.filled != size or end > len(room.rows):
            rows = np.empty((max(2 * end, _LEAST_ROOM), more.shape[1]), np.float32)
            rows[:size] = self.values
            room = _Room(rows, size)
        room.rows[size:end] = more
        room.filled = end
        grown = AppendBuffer.__new__(AppendBuffer)
        grown._hold(room, end)
        return grown

    def _hold(self, room: _Room, size: int) -> None:
        self._room = room
        self.values = room.rows[:size]
        self.values.flags.writeable = False
