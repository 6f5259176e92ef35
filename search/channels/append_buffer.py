"""An append-only buffer of vectors. An append makes a new buffer; old buffers stay valid."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

_MIN_CAPACITY = 1_024  # smallest allocation, in rows


@dataclass
class _Storage:
    """Memory for rows, filled from the first row on. Filled rows never change."""

    rows: Float32[np.ndarray, "capacity dim"]
    filled: int  # number of filled rows


class AppendBuffer:
    """An immutable list of vectors. Only one thread at a time may call `followed_by`.

    Attributes:
        values: The vectors, read-only.
    """

    def __init__(self, values: Float32[np.ndarray, "rows dim"]) -> None:
        """Start with the vectors `values`, without a copy."""
        self._use(_Storage(values, len(values)), len(values))

    def __len__(self) -> int:
        return len(self.values)

    def followed_by(self, more: Float32[np.ndarray, "more dim"]) -> "AppendBuffer":
        """Return a buffer with these vectors followed by `more`.

        Both buffers share memory if the rows after these vectors are free. Otherwise all vectors
        are copied into new memory, which has room for twice as many vectors. On average, each
        vector is copied about once.
        """
        size = len(self)
        end = size + len(more)
        storage = self._storage
        if storage.filled != size or end > len(storage.rows):
            rows = np.empty((max(2 * end, _MIN_CAPACITY), more.shape[1]), np.float32)
            rows[:size] = self.values
            storage = _Storage(rows, size)
        storage.rows[size:end] = more
        storage.filled = end
        grown = AppendBuffer.__new__(AppendBuffer)
        grown._use(storage, end)
        return grown

    def _use(self, storage: _Storage, size: int) -> None:
        self._storage = storage
        self.values = storage.rows[:size]
        self.values.flags.writeable = False
