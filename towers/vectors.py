"""The item vectors of an index, stored in a file as float32 or bfloat16.

bfloat16 is the upper 16 bits of a float32. Its file is half as large, and reading rows takes no
longer: shifting bits costs less than reading twice the bytes. NumPy has no bfloat16, so the file
holds 16-bit unsigned integers; their type tells the two formats apart.
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
_CHUNK = 10_000  # vectors copied at a time

Stored: TypeAlias = Literal["float32", "bfloat16"]


class Bfloat16Vectors:
    """Vectors that are stored as bfloat16, and read and written as float32.

    They replace an array of vectors: `len`, `shape`, rows by number, slice or array, and `take`.
    """

    def __init__(self, bits: UInt16[np.ndarray, "items dim"]) -> None:
        """Wrap the upper halves of float32 numbers."""
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
        """Return some rows, like `np.take`."""
        return _widened(self._bits.take(rows, axis=axis))

    def flush(self) -> None:
        """Write changes to the file."""
        if isinstance(self._bits, np.memmap):
            self._bits.flush()


# Vectors that an index compares queries with.
Vectors: TypeAlias = Float32[np.ndarray, "items dim"] | Bfloat16Vectors


def _widened(bits: UInt16[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    wide = bits.astype(np.uint32, order="C")
    wide <<= 16
    return wide.view(np.float32)


def create_vectors(
    directory: Path, items: int, dim: int, stored: Stored = "float32"
) -> Float32[np.memmap, "items dim"] | Bfloat16Vectors:
    """Create the memory-mapped vectors file of a new index, to be filled with float32 vectors.

    Raises:
        OSError: the disk is full.
    """
    path = directory / VECTORS_FILE
    dtype = np.float32 if stored == "float32" else np.uint16
    file = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=(items, dim))
    if hasattr(os, "posix_fallocate"):  # else writing to a full disk kills the process
        with path.open("r+b") as opened:
            try:
                os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
    return file if stored == "float32" else Bfloat16Vectors(file)


def open_vectors(directory: Path) -> Vectors:
    """Open the memory-mapped item vectors; row i belongs to item row i.

    Raises:
        InputError: the file holds no vectors.
    """
    path = directory / VECTORS_FILE
    # A plain view: reading rows of a np.memmap takes twice as long.
    file = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    if file.ndim != 2 or file.dtype not in (np.float32, np.uint16):
        raise InputError(f"{path} holds {file.dtype} of {file.ndim} dimensions, and no vectors")
    return file if file.dtype == np.float32 else Bfloat16Vectors(file)


@contextmanager
def as_float32(
    vectors: Vectors, scratch: Path, *, chunk: int = _CHUNK
) -> Iterator[Float32[np.ndarray, "items dim"]]:
    """Yield the vectors as one memory-mapped array, for code that takes nothing else.

    Args:
        vectors: The vectors.
        scratch: A directory with room for a float32 copy. The copy is a nameless file, which
            disappears when it is closed or the process ends.
        chunk: Vectors copied at a time.
    """
    if isinstance(vectors, np.ndarray):
        yield vectors
        return
    with tempfile.TemporaryFile(dir=scratch) as file:
        for start in range(0, len(vectors), chunk):
            file.write(vectors[start : start + chunk].tobytes())
        file.flush()
        yield np.memmap(file, np.float32, "r", shape=vectors.shape)
