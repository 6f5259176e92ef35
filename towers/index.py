"""The vector index: exact search in JAX, or ScaNN, behind one interface.

Row i of the index is row i of the catalogue. The index does not contain item ids.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float32, Int32

from base.errors import InputError
from base.untrusted.small_files import read_object
from towers.exact import ExactIndex, blocks, nearest, recall, require_finite
from towers.scann import (
    Effort,
    build_scann,
    has_scann,
    least_effort,
    leaves_of,
    open_scann,
    require_scann,
)
from towers.sketch import SKETCH_FROM, sketch
from towers.vectors import Stored, Vectors, open_matrix, open_vectors

CONFIG_FILE = "index.json"
FILES_VERSION = 4  # raise this number when the format of the index files changes
QUERIES_FILE = "queries.npy"
SCANN_FROM = 20_000  # number of items from which ScaNN is faster than exact search


@runtime_checkable
class VectorIndex(Protocol):
    """Search for the nearest items by inner product, which is the cosine of unit vectors."""

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
        """Return rows and scores of the k best items of each query, best first.

        A query has fewer than k results only if the index has fewer than k items.
        """
        ...

    def warm_up(self, k: int) -> None:
        """Compile or load in advance everything that a search for k items needs."""
        ...

    def report(self) -> dict[str, Any]:
        """Return the kind and search settings of the index, for the build report."""
        ...


@dataclass(frozen=True)
class IndexConfig:
    """Settings of the vector index."""

    kind: Literal["auto", "exact", "scann"] = "auto"  # auto: ScaNN from 20,000 items on a CPU
    # share of the exact nearest items that a search must find, measured on sample queries; the
    # build chooses the cheapest search settings that reach this target
    recall_target: float = 0.99
    # number of nearest items that recall_target refers to; the default equals serving's default of
    # recall_depth
    depth: int = 200
    # type of the stored item vectors: bfloat16 takes half the bytes, and int8 a quarter; both round
    # cosines to about three digits
    vectors: Stored = "float32"

    def __post_init__(self) -> None:
        """Check that the target and the depth are in range."""
        if not 0 < self.recall_target <= 1:
            raise InputError(
                f"index: recall_target {self.recall_target} is not above 0 and at most 1"
            )
        if self.depth < 1:
            raise InputError(f"index: depth is {self.depth}; give 1 or more")


def index_stored(
    directory: Path,
    config: IndexConfig,
    queries: Float32[np.ndarray, "queries dim"],
) -> VectorIndex:
    """Build the index of the vectors in `directory` (see `create_vectors`), and open it.

    The vectors are read from their file in blocks. Only ScaNN's build copies all vectors.

    Args:
        directory: Directory with the vectors; the other files are written there.
        config: Kind of the index, and recall target.
        queries: Unit vectors of sample queries, to measure recall on.

    Raises:
        InputError: the kind is ScaNN and ScaNN is not installed, or a vector is not finite.
    """
    vectors = open_vectors(directory)
    items = len(vectors)
    kind = _resolve_kind(config.kind, items)
    require_finite("item", vectors)
    require_finite("query", queries)
    values: dict[str, Any] = {"kind": kind, "items": items, "config": asdict(config)}
    np.save(directory / QUERIES_FILE, queries)
    if items >= SKETCH_FROM:
        sketch(vectors, queries).save(directory)
    if kind == "scann":
        leaves = leaves_of(items)
        build_scann(directory, vectors, config.depth, leaves)
        index = open_scann(directory, vectors, leaves, Effort(1.0, 0, leaves))
        index.effort = least_effort(index, vectors, queries, config.depth, config.recall_target)
        values |= {"leaves": leaves, "effort": asdict(index.effort)}
    (directory / CONFIG_FILE).write_text(json.dumps(values, indent=1) + "\n")
    return index if kind == "scann" else open_index(directory)


def open_index(directory: Path) -> VectorIndex:
    """Open an index that `index_stored` wrote, without verifying its files.

    Raises:
        InputError: ScaNN is needed but not installed. Or the index was built by an earlier version
            of this program. Or the directory contains ScaNN's pickle file.
    """
    values = read_object(directory / CONFIG_FILE)
    if values["kind"] == "exact":
        return ExactIndex(open_vectors(directory))
    require_scann()
    if "effort" not in values:
        raise _outdated(directory)
    effort = Effort(**values["effort"])
    return open_scann(directory, open_vectors(directory), values["leaves"], effort)


def index_config(directory: Path) -> IndexConfig:
    """Read the configuration of the index in a directory.

    Raises:
        InputError: an earlier version of this program built the index.
    """
    values = read_object(directory / CONFIG_FILE)
    if "config" not in values:
        raise _outdated(directory)
    return IndexConfig(**values["config"])


def open_queries(directory: Path) -> Float32[np.ndarray, "queries dim"]:
    """Read the unit vectors of the queries that the index was tuned on.

    Raises:
        InputError: an earlier version of this program built the index.
    """
    if not (directory / QUERIES_FILE).is_file():
        raise _outdated(directory)
    return open_matrix(directory / QUERIES_FILE, np.float32)


def _outdated(directory: Path) -> InputError:
    return InputError(
        f"{directory / CONFIG_FILE} is of an earlier version of this program; build the index or "
        "bundle again"
    )


def recall_against_exact(
    index: VectorIndex,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
    depths: Sequence[int],
) -> dict[int, float]:
    """Return the share of the exact k nearest items that the index finds, for each depth k."""
    exact, _ = nearest(blocks(vectors), queries, max(depths))
    return {k: recall(exact[:, :k], index.search(queries, k)[0]) for k in depths}


def _resolve_kind(kind: str, items: int) -> str:
    if kind == "auto":
        on_cpu = jax.default_backend() == "cpu"
        return "scann" if items >= SCANN_FROM and on_cpu and has_scann() else "exact"
    if kind == "scann":
        require_scann()
    return kind
