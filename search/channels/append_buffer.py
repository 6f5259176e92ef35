"""A buffer of vectors that grows at the end while readers keep using shorter views of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

_LEAST_ROOM = 1_024  # rows


@dataclass
class _Room:
    """Memory for rows, filled from the front; filled rows never change."""

    rows: Float32[np.ndarray, "room dim"]
    filled: int


class AppendBuffer:
    """An immutable list of vectors; one thread at a time may derive a longer list.

    Attributes:
        values: The vectors, read-only.
    """

    def __init__(self, values: Float32[np.ndarray, "rows dim"]) -> None:
        """Start with the vectors `values`, without a copy."""
        self._hold(_Room(values, len(values)), len(values))

    def __len__(self) -> int:
        return len(self.values)

    def followed_by(self, more: Float32[np.ndarray, "more dim"]) -> "AppendBuffer":
        """Return these vectors followed by more, in shared memory if there is room.

        Without room, all vectors are copied into memory of twice the size. So each vector is copied
        about once on average.
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
