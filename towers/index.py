"""The vector index: exact search in JAX, or ScaNN, behind one interface.

Rows of the index are rows of the catalogue; ids never enter it. ScaNN's own serialisation pickles
ids, so it is built without any (ScaNN: Guo et al., 2020, arXiv 1908.10396).
"""

import importlib.util
import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float32, Int, Int32

from catalog.errors import InputError
from catalog.memory import give_back_memory
from towers.exact import ExactIndex, blocks, nearest, require_finite
from towers.sketch import SKETCH_FROM, sketch

logger = logging.getLogger(__name__)

VECTORS_FILE = "vectors.npy"
CONFIG_FILE = "index.json"
FILES_VERSION = 2  # raised when an index comes to consist of other files
QUERIES_FILE = "queries.npy"
SCANN_PICKLE = "scann_docids.pkl"  # ScaNN unpickles it where it finds it; we never write it
TREE_FROM = 100_000  # items from which ScaNN partitions; below, it scans quantised vectors
_LEAVES_PER_ROOT = 3  # partitions, in square roots of the number of items
# Items in two partitions each, the second chosen to miss what the first misses (SOAR: Sun et al.,
# 2024, arXiv 2404.00774), and centroids that favour what queries point at (AVQ). At the same recall
# a search visits a third of the partitions that it would otherwise: see docs/performance.md.
_SOAR_LAMBDA = 2.5
_AVQ = 2.5
SCANN_FROM = 20_000  # items from which ScaNN is worth it
# What a search may look at, least first: rescored candidates as multiples of the depth, and shares
# of the tree's partitions.
_REORDERS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
_LEAF_SHARES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
# What rescoring one candidate costs, in quantised items scanned: it reads sixteen times the bytes,
# from scattered places.
_REORDER_COST = 20


@runtime_checkable
class VectorIndex(Protocol):
    """Nearest items by inner product, which for unit vectors is the cosine."""

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
        """Rows and scores of the k best items of each query, best first.

        `k` is cut to the number of items, so there are never fewer than k where k exist.
        """
        ...

    def warm_up(self, k: int) -> None:
        """Compile or touch whatever a first search at depth k would wait for."""
        ...

    def report(self) -> dict[str, Any]:
        """How the index searches, for the report of a build."""
        ...


@dataclass(frozen=True)
class IndexConfig:
    """How the vector index is built."""

    kind: Literal["auto", "exact", "scann"] = "auto"  # auto: ScaNN from 20,000 items on a CPU
    # share of the exact nearest items that a search has to find, on a sample of queries; what the
    # index looks at for it is chosen when it is built
    recall_target: float = 0.99
    depth: int = 200  # nearest items that the target is about: what stage 1 usually recalls

    def __post_init__(self) -> None:
        """Refuse searches that look at nothing."""
        if not 0 < self.recall_target <= 1:
            raise InputError(
                f"index: recall_target {self.recall_target} is not above 0 and at most 1"
            )
        if self.depth < 1:
            raise InputError(f"index: depth is {self.depth}; give 1 or more")


@dataclass(frozen=True)
class Effort:
    """How much of a ScaNN index a search looks at.

    Attributes:
        reorder: Quantised candidates that are rescored exactly, for each item asked for.
        at_least: Candidates that are rescored whatever is asked for.
        leaves: Partitions that are visited; 0 without a tree.
    """

    reorder: float
    at_least: int
    leaves: int

    def candidates(self, k: int) -> int:
        """How many are rescored for k results."""
        return max(self.at_least, math.ceil(self.reorder * k))


class ScannIndex:
    """ScaNN: a quantised scan, or a partitioned tree of them, rescored with full vectors."""

    def __init__(self, searcher: Any, items: int, dim: int, leaves: int, effort: Effort) -> None:
        self.effort = effort
        self.leaves = leaves  # 0 without a tree
        self._searcher = searcher
        self._items = items
        self._dim = dim

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
        """See `VectorIndex.search`."""
        k = min(k, self._items)
        rows, scores, complete = self.look(queries, k, self.effort)
        if not complete:
            # The visited partitions held fewer than k items: visit all of them.
            rows, scores, _ = self.look(queries, k, replace(self.effort, leaves=self.leaves))
        return rows.astype(np.int32), scores.astype(np.float32)

    def look(
        self, queries: Float32[np.ndarray, "queries dim"], k: int, effort: Effort
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """Rows and scores that an effort finds, and whether there are k of them for each query.

        There are not where the partitions that it visits hold fewer items.
        """
        rows, scores = self._searcher.search_batched(
            queries, k, effort.candidates(k), effort.leaves or None
        )
        return rows, scores, rows.shape[1] == k and bool(np.isfinite(scores).all())

    def report(self) -> dict[str, Any]:
        """See `VectorIndex.report`."""
        return {"kind": "scann", "leaves": self.leaves, "effort": asdict(self.effort)}

    def warm_up(self, k: int) -> None:
        """Bring the quantised vectors into memory with one search."""
        self.search(np.ones((1, self._dim), np.float32), k)


def build_index(
    vectors: Float32[np.ndarray, "items dim"],
    directory: Path,
    config: IndexConfig,
    queries: Float32[np.ndarray, "queries dim"],
) -> VectorIndex:
    """Write vectors and index files to `directory` (existing, empty) and open the result.

    Args:
        vectors: Unit vectors of all items; may be a memory-mapped file.
        directory: Where the files go.
        config: Kind and target.
        queries: Unit vectors of a sample of queries, which the target is reached on.

    Raises:
        InputError: ScaNN was asked for on a platform without a wheel, or a vector is not finite.
    """
    _resolve_kind(config.kind, len(vectors))
    np.save(directory / VECTORS_FILE, vectors)
    return index_stored(directory, config, queries)


def index_stored(
    directory: Path, config: IndexConfig, queries: Float32[np.ndarray, "queries dim"]
) -> VectorIndex:
    """Build the index of the vectors that lie in `directory` (see `create_vectors`), and open it.

    The vectors are read from their file, a few at a time; only ScaNN, while it builds, and whatever
    searches afterwards, takes a copy of them.

    Args:
        directory: Where the vectors are, and the other files go.
        config: Kind and target.
        queries: Unit vectors of a sample of queries, which the target is reached on.

    Raises:
        InputError: ScaNN was asked for on a platform without a wheel, or a vector is not finite.
    """
    items = len(open_vectors(directory))
    kind = _resolve_kind(config.kind, items)
    require_finite("item", open_vectors(directory))
    require_finite("query", queries)
    values: dict[str, Any] = {"kind": kind, "items": items, "config": asdict(config)}
    np.save(directory / QUERIES_FILE, queries)
    if items >= SKETCH_FROM:
        sketch(open_vectors(directory), queries).save(directory)
    if kind == "scann":
        leaves = leaves_of(items)
        _build_scann(directory, config, leaves)
        values |= {"leaves": leaves}
        index = _open_scann(directory, items, leaves, Effort(1.0, 0, leaves))
        index.effort = _least_effort(index, open_vectors(directory), queries, config)
        values |= {"effort": asdict(index.effort)}
    (directory / CONFIG_FILE).write_text(json.dumps(values, indent=1) + "\n")
    return index if kind == "scann" else open_index(directory)


def open_index(directory: Path) -> VectorIndex:
    """Open what `build_index` wrote. The files are taken as verified.

    Raises:
        InputError: the index needs ScaNN and the platform has none.
    """
    values = json.loads((directory / CONFIG_FILE).read_text())
    if values["kind"] == "exact":
        return ExactIndex(open_vectors(directory))
    _require_scann()
    if (directory / SCANN_PICKLE).exists():
        raise InputError(f"{directory / SCANN_PICKLE} is a pickle, which can run code: refused")
    if "effort" not in values:
        raise _outdated(directory)
    return _open_scann(directory, values["items"], values["leaves"], Effort(**values["effort"]))


def index_config(directory: Path) -> IndexConfig:
    """How the index in a directory was asked for.

    Raises:
        InputError: the index was built by an earlier version.
    """
    values = json.loads((directory / CONFIG_FILE).read_text())
    if "config" not in values:
        raise _outdated(directory)
    return IndexConfig(**values["config"])


def open_queries(directory: Path) -> Float32[np.ndarray, "queries dim"]:
    """Unit vectors of the sample of queries that the index was tuned on.

    Raises:
        InputError: the index was built by an earlier version.
    """
    if not (directory / QUERIES_FILE).is_file():
        raise _outdated(directory)
    return np.load(directory / QUERIES_FILE, allow_pickle=False)  # type: ignore[no-any-return]


def _outdated(directory: Path) -> InputError:
    return InputError(
        f"{directory / CONFIG_FILE} is of an earlier version of this program; build the index or "
        "bundle again"
    )


def create_vectors(directory: Path, items: int, dim: int) -> Float32[np.memmap, "items dim"]:
    """The file of vectors of an index to be built, memory-mapped and to be filled.

    Raises:
        OSError: the disk has no room for it.
    """
    path = directory / VECTORS_FILE
    vectors = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(items, dim))
    if hasattr(os, "posix_fallocate"):  # else a full disk would end the process when it is filled
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
    return vectors


def open_vectors(directory: Path) -> Float32[np.ndarray, "items dim"]:
    """The item vectors, memory-mapped; row i belongs to item row i."""
    return np.load(directory / VECTORS_FILE, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def recall_against_exact(
    index: VectorIndex,
    vectors: Float32[np.ndarray, "items dim"],
    queries: Float32[np.ndarray, "queries dim"],
    depths: Sequence[int],
) -> dict[int, float]:
    """By depth k: the share of the exact k nearest items among the index's k, over all queries."""
    exact, _ = nearest(blocks(vectors), queries, max(depths))
    return {k: recall(exact[:, :k], index.search(queries, k)[0]) for k in depths}


def recall(exact: Int[np.ndarray, "queries k"], found: Int[np.ndarray, "queries k"]) -> float:
    """The share of the exact nearest rows that is among those found, whatever their order.

    1 where there are none to be found.
    """
    if not exact.size:
        return 1.0
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True))
    return hits / exact.size


def leaves_of(items: int) -> int:
    """Partitions of ScaNN's tree; 0 where there is none."""
    return round(_LEAVES_PER_ROOT * items**0.5) if items >= TREE_FROM else 0


def _build_scann(directory: Path, config: IndexConfig, leaves: int) -> None:
    """Write ScaNN's files beside the vectors."""
    from scann.proto import scann_pb2  # noqa: PLC0415 - has no wheel outside Linux

    # Built without rescoring, ScaNN lets go of its copy of the vectors before it writes, which
    # takes about a megabyte a partition; and it does not write them again.
    searcher = _scann_builder(open_vectors(directory), config.depth, leaves).build()
    searcher.serialize(str(directory), relative_path=True)
    del searcher
    give_back_memory()
    stored = directory / "scann_config.pb"
    values = scann_pb2.ScannConfig.FromString(stored.read_bytes())
    values.exact_reordering.approx_num_neighbors = 2 * config.depth
    stored.write_bytes(values.SerializeToString())
    with (directory / "scann_assets.pbtxt").open("a") as assets:
        assets.write(f'assets {{\n  asset_type: DATASET_NPY\n  asset_path: "{VECTORS_FILE}"\n}}\n')


def _scann_builder(vectors: Float32[np.ndarray, "items dim"], depth: int, leaves: int) -> Any:
    from scann import scann_ops_pybind  # noqa: PLC0415 - has no wheel outside Linux

    builder = scann_ops_pybind.builder(vectors, depth, "dot_product")
    if leaves:
        builder = builder.tree(
            num_leaves=leaves,
            num_leaves_to_search=leaves,  # replaced by every search's effort
            training_sample_size=min(len(vectors), 250_000),
            soar_lambda=_SOAR_LAMBDA,
            avq=_AVQ,
        )
    # Two dimensions a code word and this threshold are what ScaNN's authors advise for inner
    # product on unit vectors.
    return builder.score_ah(2, anisotropic_quantization_threshold=0.2)


def _open_scann(directory: Path, items: int, leaves: int, effort: Effort) -> ScannIndex:
    from scann import scann_ops_pybind  # noqa: PLC0415 - has no wheel outside Linux

    searcher = scann_ops_pybind.load_searcher(str(directory))
    return ScannIndex(searcher, items, open_vectors(directory).shape[1], leaves, effort)


def _least_effort(
    index: ScannIndex,
    vectors: Float32[np.ndarray, "items dim"],
    queries: Float32[np.ndarray, "queries dim"],
    config: IndexConfig,
) -> Effort:
    """The cheapest way to search that reaches the recall target; the dearest where none does.

    What a search costs is counted in items looked at, not timed, so that an index built twice is
    searched alike.
    """
    depth = min(config.depth, len(vectors))
    exact, _ = nearest(blocks(vectors), queries, depth)
    most = index.leaves
    leaves = sorted({max(1, round(share * most)) for share in _LEAF_SHARES}) if most else [0]
    efforts = [
        Effort(times, math.ceil(times * depth), visited)
        for visited in leaves
        for times in _REORDERS
    ]

    def cost(effort: Effort) -> float:
        # Of a tree's items each lies in two partitions.
        share = 2 * effort.leaves / most if most else 1.0
        return share * len(vectors) + _REORDER_COST * effort.candidates(depth)

    efforts.sort(key=cost)
    for effort in efforts:
        rows, _, complete = index.look(queries, depth, effort)
        reached = recall(exact, rows.astype(np.int32)) if complete else 0.0
        if reached >= config.recall_target:
            return effort
    logger.warning(
        "warning: the index finds %.4f of the %d nearest items at its most, and the recall target "
        "is %g: searches will look at all they can",
        reached,
        depth,
        config.recall_target,
    )
    return effort


def _resolve_kind(kind: str, items: int) -> str:
    if kind == "auto":
        on_cpu = jax.default_backend() == "cpu"
        return "scann" if items >= SCANN_FROM and on_cpu and _has_scann() else "exact"
    if kind == "scann":
        _require_scann()
    return kind


def _has_scann() -> bool:
    return importlib.util.find_spec("scann") is not None


def _require_scann() -> None:
    if not _has_scann():
        raise InputError(
            "this index needs ScaNN, which has wheels for Linux only: build it with "
            "`--index.kind exact` to serve it here"
        )
