"""The item vectors of an index, stored in a file as float32, bfloat16 or int8.

bfloat16 is the upper 16 bits of a float32. A bfloat16 file is half as large. Reading its rows takes
no longer, because shifting the bits costs less than reading twice the bytes. NumPy has no bfloat16,
so the file contains 16-bit unsigned integers.

An int8 file is about a quarter as large. Each row has its own scale: a number of the vector is an
integer from -127 to 127, multiplied by the scale. The four bytes of the scale, which is a float32,
follow the integers. The type of the array distinguishes the three formats.
"""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, Int8, UInt16

from base.errors import InputError
from base.untrusted.arrays import map_array

VECTORS_FILE = "vectors.npy"
_CHUNK = 10_000  # vectors copied at a time
_SCALE_BYTES = 4  # size of the scale of an int8 vector
_MOST = 127  # greatest number of an int8 vector; -128 is not used, so that the range is symmetric

Stored: TypeAlias = Literal["float32", "bfloat16", "int8"]


class CompressedVectors(ABC):
    """Vectors that are stored in fewer bytes, and read and written as float32.

    The class has the operations of an array that indexes need: `len`, `shape`, `take`, and access
    to rows by number, slice or array.
    """

    dtype: ClassVar[type[np.generic]]  # type of the stored rows
    extra: ClassVar[int] = 0  # how many more numbers a stored row has than the vector

    def __init__(self, rows: np.ndarray) -> None:
        """Wrap the stored rows, which have the type `dtype`."""
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of items, and number of dimensions."""
        items, stored = self._rows.shape
        return items, stored - self.extra

    def __getitem__(self, rows: Any) -> Float32[np.ndarray, "..."]:
        return self._read(self._rows[rows])

    def __setitem__(self, rows: Any, vectors: Float32[np.ndarray, "..."]) -> None:
        self._rows[rows] = self._compressed(vectors)

    def take(
        self, rows: Int[np.ndarray, " rows"], axis: Literal[0]
    ) -> Float32[np.ndarray, "rows dim"]:
        """Return the given rows, like `np.take`."""
        return self._read(self._rows.take(rows, axis=axis))

    def flush(self) -> None:
        """Write changes to the file."""
        if isinstance(self._rows, np.memmap):
            self._rows.flush()

    @staticmethod
    @abstractmethod
    def _read(rows: np.ndarray) -> Float32[np.ndarray, "..."]:
        """Return the vectors of stored rows."""

    @staticmethod
    @abstractmethod
    def _compressed(vectors: Float32[np.ndarray, "..."]) -> np.ndarray:
        """Return the rows to store for vectors."""


class Bfloat16Vectors(CompressedVectors):
    """Vectors that are stored as bfloat16 numbers, the upper halves of float32 numbers."""

    dtype = np.uint16

    @staticmethod
    def _read(rows: UInt16[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
        wide = rows.astype(np.uint32, order="C")
        wide <<= 16
        return wide.view(np.float32)

    @staticmethod
    def _compressed(vectors: Float32[np.ndarray, "..."]) -> UInt16[np.ndarray, "..."]:
        # The cast rounds to nearest, ties to even.
        rows: np.ndarray = vectors.astype(jnp.bfloat16).view(np.uint16)
        return rows


class Int8Vectors(CompressedVectors):
    """Vectors that are stored as int8 numbers and a scale for each vector."""

    dtype = np.int8
    extra = _SCALE_BYTES

    @staticmethod
    def _read(rows: Int8[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
        vectors = rows[..., :-_SCALE_BYTES].astype(np.float32, order="C")
        vectors *= np.ascontiguousarray(rows[..., -_SCALE_BYTES:]).view(np.float32)
        return vectors

    @staticmethod
    def _compressed(vectors: Float32[np.ndarray, "..."]) -> Int8[np.ndarray, "..."]:
        scales = np.abs(vectors).max(axis=-1, keepdims=True) / np.float32(_MOST)
        numbers = np.rint(vectors / np.where(scales > 0, scales, 1)).astype(np.int8)
        return np.concatenate([numbers, scales.view(np.int8)], axis=-1)


_COMPRESSED: dict[str, type[CompressedVectors]] = {"bfloat16": Bfloat16Vectors, "int8": Int8Vectors}

# Vectors that an index compares queries with.
Vectors: TypeAlias = Float32[np.ndarray, "items dim"] | CompressedVectors


def create_vectors(
    directory: Path, items: int, dim: int, stored: Stored = "float32"
) -> Float32[np.memmap, "items dim"] | CompressedVectors:
    """Create the memory-mapped vectors file of a new index; the caller fills it with float32.

    Raises:
        OSError: the disk is full.
    """
    path = directory / VECTORS_FILE
    kind = _COMPRESSED.get(stored)
    dtype, stored_dim = (np.float32, dim) if kind is None else (kind.dtype, dim + kind.extra)
    file = np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=(items, stored_dim))
    # Reserve the space now: writing to a mapped file on a full disk would kill the process.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as opened:
            try:
                os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
    return file if kind is None else kind(file)


def open_vectors(directory: Path) -> Vectors:
    """Open the memory-mapped item vectors; row i belongs to item row i.

    Raises:
        InputError: the file does not contain vectors.
    """
    types = {kind.dtype: kind for kind in _COMPRESSED.values()}
    file = open_matrix(directory / VECTORS_FILE, np.float32, *types)
    kind = types.get(file.dtype.type)
    return file if kind is None else kind(file)


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
    """Yield the vectors as one float32 array, for code that cannot read compressed ones.

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
