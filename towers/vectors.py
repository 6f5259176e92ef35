"""The item vectors of an index, stored in a file as float32 or bfloat16.

bfloat16 is the upper 16 bits of a float32. A bfloat16 file is half as large. Reading its rows takes
no longer, because shifting the bits costs less than reading twice the bytes. NumPy has no bfloat16,
so the file contains 16-bit unsigned integers. The type of the array distinguishes the two formats.
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
from base.untrusted.arrays import map_array

VECTORS_FILE = "vectors.npy"
_CHUNK = 10_000  # vectors copied at a time

Stored: TypeAlias = Literal["float32", "bfloat16"]


class Bfloat16Vectors:
    """Vectors that are stored as bfloat16, and read and written as float32.

    The class has the operations of an array that indexes need: `len`, `shape`, `take`, and access
    to rows by number, slice or array.
    """

    def __init__(self, bits: UInt16[np.ndarray, "items dim"]) -> None:
        """Wrap bfloat16 numbers, which are the upper halves of float32 numbers."""
        self._bits = bits

    def __len__(self) -> int:
        return len(self._bits)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of items, and number of dimensions."""
        return self._bits.shape

    def __getitem__(self, rows: Any) -> Float32[np.ndarray, "..."]:
        return _widened(self._bits[rows])

    def __setitem__(self, rows: Any, vectors: Float32[np.ndarray, "..."]) -> None:
        # The cast rounds to nearest, ties to even.
        self._bits[rows] = vectors.astype(jnp.bfloat16).view(np.uint16)

    def take(
        self, rows: Int[np.ndarray, " rows"], axis: Literal[0]
    ) -> Float32[np.ndarray, "rows dim"]:
        """Return the given rows, like `np.take`."""
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
    """Create the memory-mapped vectors file of a new index; the caller fills it with float32.

    Raises:
        OSError: the disk is full.
    """
    path = directory / VECTORS_FILE
    dtype = np.float32 if stored == "float32" else np.uint16
    file = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=(items, dim))
    # Reserve the space now: writing to a mapped file on a full disk would kill the process.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as opened:
            try:
                os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
    return file if stored == "float32" else Bfloat16Vectors(file)


def open_vectors(directory: Path) -> Vectors:
    """Open the memory-mapped item vectors; row i belongs to item row i.

    Raises:
        InputError: the file does not contain vectors.
    """
    file = open_matrix(directory / VECTORS_FILE, np.float32, np.uint16)
    return file if file.dtype == np.float32 else Bfloat16Vectors(file)


def open_matrix(path: Path, *types: type[np.generic]) -> np.ndarray:
    """Open a memory-mapped array of vectors, one row each.

    Raises:
        InputError: the file is not an array of two dimensions and one of the types.
    """
    try:
        file = map_array(path)
    except ValueError as error:
        raise InputError(f"{path} does not contain vectors: {error}") from error
    if file.ndim != 2 or file.dtype not in types:
        raise InputError(
            f"{path} does not contain vectors: its array has the type {file.dtype} and "
            f"{file.ndim} dimension(s)"
        )
    return file


@contextmanager
def as_float32(
    vectors: Vectors, scratch: Path, *, chunk: int = _CHUNK
) -> Iterator[Float32[np.ndarray, "items dim"]]:
    """Yield the vectors as one float32 array, for code that cannot read `Bfloat16Vectors`.

    Args:
        vectors: The vectors.
        scratch: A directory with room for a float32 copy. The copy is a file without a name, so it
            is deleted when it is closed or the process ends.
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
