"""NumPy files whose headers are checked against the size of their data."""

import math
import os
import zipfile
from io import BufferedIOBase
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray]


def map_array(path: Path) -> np.ndarray:
    """Map the array of a `.npy` file into memory, read-only.

    Raises:
        OSError: the file cannot be opened.
        ValueError: the file is not an array of numbers, or its header does not fit its size.
    """
    with path.open("rb") as file:
        _check_header(file, os.fstat(file.fileno()).st_size)
    # View the file as a plain array: reading rows of a np.memmap takes twice as long.
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    return array


def read_arrays(path: Path) -> Arrays:
    """Read all arrays of a `.npz` file.

    Raises:
        OSError: the file cannot be opened.
        ValueError: the file is not an archive of arrays, an array is compressed, or a header does
            not fit the size of its array.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("an array in it is compressed")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise ValueError("its arrays are larger than the file")
            for member in members:
                with archive.open(member) as file:
                    _check_header(file, member.file_size)
                    file.seek(0)
                    array = np.lib.format.read_array(file, allow_pickle=False)
                arrays[member.filename.removesuffix(".npy")] = array
    except (zipfile.BadZipFile, RuntimeError) as error:  # the second: an encrypted archive
        raise ValueError(f"it is no archive of arrays ({error})") from error
    return arrays


def _check_header(file: IO[bytes] | BufferedIOBase, size: int) -> None:
    """Raise ValueError if a header does not describe exactly the bytes that follow it.

    Args:
        file: An array in the format of `np.save`, from its first byte on.
        size: The number of bytes of the header and the array.
    """
    try:
        version = np.lib.format.read_magic(file)
        # The header of a later version may have 4 GiB. NumPy writes later versions only for arrays
        # with many named fields.
        if version != (1, 0):
            raise ValueError(f"format version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # NumPy reads a header as Python, which fails in many ways
        raise ValueError(f"it is not a NumPy array ({error})") from error
    if dtype.hasobject:  # such an array is a pickle, which can run code
        raise ValueError("it is not a NumPy array of numbers")
    data = size - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != data:
        raise ValueError(f"its header claims {shape} numbers of {dtype}, and it has {data:,} bytes")
