"""Write and read the arrays of a model as one `.npz` file, without pickle."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import sparse

from base.errors import InputError
from base.untrusted.arrays import Arrays, read_arrays


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name to a `.npz` file."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def open_arrays(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> Arrays:
    """Read the arrays of a file, and check their dimensions.

    Args:
        path: A file that `write_arrays` wrote.
        shapes: The shape of each array by name; None allows any length of an axis.

    Raises:
        InputError: the file is missing or damaged, or an array has another shape.
    """
    try:
        arrays = read_arrays(path)
        for name, shape in shapes.items():
            actual = arrays[name].shape
            if len(actual) != len(shape) or any(
                length not in (None, found) for length, found in zip(shape, actual, strict=True)
            ):
                raise ValueError(f"{name} has the shape {actual}")
            if not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} has values that are not finite")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read: {error}; train again") from error
    return arrays


def sparse_arrays(matrix: sparse.csr_matrix) -> Arrays:
    """Return the arrays of a sparse square matrix of float32 numbers."""
    return {"data": matrix.data, "columns": matrix.indices, "starts": matrix.indptr}


def open_sparse(path: Path, arrays: Arrays, items: int) -> sparse.csr_matrix:
    """Return the sparse matrix of `sparse_arrays`.

    Raises:
        InputError: the arrays are no sparse matrix of `items` rows and columns.
    """
    data, columns, starts = arrays["data"], arrays["columns"], arrays["starts"]
    ordered = starts[0] == 0 and (np.diff(starts) >= 0).all() and starts[-1] == len(data)
    inside = len(columns) == len(data) and ((columns >= 0) & (columns < items)).all()
    if not (ordered and inside and data.dtype == np.float32):
        raise InputError(f"{path} cannot be read: its weights are no matrix of {items:,} items")
    return sparse.csr_matrix((data, columns, starts), (items, items))
