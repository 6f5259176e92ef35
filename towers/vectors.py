"""The item vectors of an index, as they lie in its file: float32, or the upper half of it.

bfloat16 is the upper 16 bits of a float32, so its file is half as large, and reading rows of it
takes no longer: shifting bits costs less than the bytes that are not read. NumPy has no such type;
the file holds 16-bit unsigned integers, which is how it says what it is.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, UInt16

from base.errors import InputError

VECTORS_FILE = "vectors.npy"
_CHUNK = 10_000  # vectors at a time that are written

Stored: TypeAlias = Literal["float32", "bfloat16"]


class Bfloat16Vectors:
    """Vectors that are stored as bfloat16, and are float32 to whoever reads them or writes them.

    It stands where an array of vectors does: `len`, `shape`, rows by number, slice or array, and
    `take`.
    """

    def __init__(self, bits: UInt16[np.ndarray, "items dim"]) -> None:
        """Take the upper halves of float32 numbers."""
        self._bits = bits

    def __len__(self) -> int:
        return len(self._bits)

    @property
    def shape(self) -> tuple[int, ...]:
        """Items and dimensions."""
        return self._bits.shape

    def __getitem__(self, rows: Any) -> Float32[np.ndarray, "..."]:
        return _widened(self._bits[rows])

    def __setitem__(self, rows: Any, vectors: Float32[np.ndarray, "..."]) -> None:
        self._bits[rows] = vectors.astype(jnp.bfloat16).view(np.uint16)  # to nearest even

    def take(
        self, rows: Int[np.ndarray, " rows"], axis: Literal[0]
    ) -> Float32[np.ndarray, "rows dim"]:
        """Some rows, as `np.take` gives them."""
        return _widened(self._bits.take(rows, axis=axis))

    def flush(self) -> None:
        """Write what was set to the file."""
        if isinstance(self._bits, np.memmap):
            self._bits.flush()


# What an index compares queries with.
Vectors: TypeAlias = Float32[np.ndarray, "items dim"] | Bfloat16Vectors


def _widened(bits: UInt16[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    wide = bits.astype(np.uint32, order="C")
    wide <<= 16
    return wide.view(np.float32)


def create_vectors(
    directory: Path, items: int, dim: int, stored: Stored = "float32"
) -> Float32[np.memmap, "items dim"] | Bfloat16Vectors:
    """The file of vectors of an index to be built, memory-mapped and to be filled with float32.

    Raises:
        OSError: the disk has no room for it.
    """
    path = directory / VECTORS_FILE
    dtype = np.float32 if stored == "float32" else np.uint16
    file = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=(items, dim))
    if hasattr(os, "posix_fallocate"):  # else a full disk would end the process when it is filled
        with path.open("r+b") as opened:
            try:
                os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
    return file if stored == "float32" else Bfloat16Vectors(file)


def open_vectors(directory: Path) -> Vectors:
    """The item vectors, memory-mapped; row i belongs to item row i.

    Raises:
        InputError: the file holds something else.
    """
    path = directory / VECTORS_FILE
    # Reading rows of a np.memmap itself takes twice as long.
    file = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    if file.ndim != 2 or file.dtype not in (np.float32, np.uint16):
        raise InputError(f"{path} holds {file.dtype} of {file.ndim} dimensions, and no vectors")
    return file if file.dtype == np.float32 else Bfloat16Vectors(file)


@contextmanager
def as_float32(vectors: Vectors, scratch: Path) -> Iterator[Float32[np.ndarray, "items dim"]]:
    """The vectors as one array, for what reads no other; not in memory all at once.

    Args:
        vectors: The vectors.
        scratch: A directory with room for a float32 file, which has no name there and is gone when
            it is closed, or with the process.
    """
    if isinstance(vectors, np.ndarray):
        yield vectors
        return
    with tempfile.TemporaryFile(dir=scratch) as file:
        for start in range(0, len(vectors), _CHUNK):
            file.write(vectors[start : start + _CHUNK].tobytes())
        file.flush()
        yield np.memmap(file, np.float32, "r", shape=vectors.shape)
