"""Search with ScaNN, and how much of an index a search has to look at.

ScaNN's own serialisation pickles ids, so it is built without any (ScaNN: Guo et al., 2020, arXiv
1908.10396).
"""

import importlib.util
import logging
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from catalog.errors import InputError
from catalog.memory import give_back_memory
from towers.exact import blocks, nearest, nearest_of, recall

logger = logging.getLogger(__name__)

SCANN_PICKLE = "scann_docids.pkl"  # ScaNN unpickles it where it finds it; we never write it
TREE_FROM = 100_000  # items from which ScaNN partitions; below, it scans quantised vectors
_LEAVES_PER_ROOT = 3  # partitions, in square roots of the number of items
# Items in two partitions each, the second chosen to miss what the first misses (SOAR: Sun et al.,
# 2024, arXiv 2404.00774), and centroids that favour what queries point at (AVQ). At the same recall
# a search visits a third of the partitions that it would otherwise: see docs/performance.md.
_SOAR_LAMBDA = 2.5
_AVQ = 2.5
_CODE_WORDS_FROM = 25_000  # vectors that the code words are learnt from
# What a search may look at, least first: rescored candidates as multiples of the depth, and shares
# of the tree's partitions.
_REORDERS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
_LEAF_SHARES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
# What rescoring one candidate costs, in quantised items scanned: it reads sixteen times the bytes,
# from scattered places.
_REORDER_COST = 20


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
    """ScaNN: a quantised scan, or a partitioned tree of them, rescored with full vectors.

    ScaNN could rescore as well, a tenth to a third faster than NumPy does. It would read all
    vectors into memory of its own for it, and hold the interpreter meanwhile; here they stay in
    their file.
    """

    def __init__(
        self,
        searcher: Any,
        vectors: Float32[np.ndarray, "items dim"],
        leaves: int,
        effort: Effort,
    ) -> None:
        self.effort = effort
        self.leaves = leaves  # 0 without a tree
        self._searcher = searcher
        self._vectors = vectors

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"]]:
        """See `index.VectorIndex.search`."""
        k = min(k, len(self._vectors))
        rows, scores, complete = self.look(queries, k, self.effort)
        if not complete:
            # The visited partitions held fewer than k items: visit all of them.
            rows, scores, _ = self.look(queries, k, replace(self.effort, leaves=self.leaves))
        return rows, scores

    def look(
        self, queries: Float32[np.ndarray, "queries dim"], k: int, effort: Effort
    ) -> tuple[Int32[np.ndarray, "queries k"], Float32[np.ndarray, "queries k"], bool]:
        """Rows and scores that an effort finds, and whether there are k of them for each query.

        There are not where the partitions that it visits hold fewer items.
        """
        most = effort.candidates(k)
        found = self._searcher.search_batched(queries, most, most, effort.leaves or None)
        rows = np.zeros((len(queries), k), np.int32)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        complete = True
        for query, (each, estimates) in enumerate(zip(*found, strict=True)):
            candidates = each[np.isfinite(estimates)].astype(np.int32)  # the others are none
            best, cosines = nearest_of(self._vectors, queries[query], k, candidates)
            rows[query, : len(best)] = best
            scores[query, : len(best)] = cosines
            complete &= len(best) == k
        return rows, scores, complete

    def report(self) -> dict[str, Any]:
        """See `index.VectorIndex.report`."""
        return {"kind": "scann", "leaves": self.leaves, "effort": asdict(self.effort)}

    def warm_up(self, k: int) -> None:
        """Bring the quantised vectors into memory with one search."""
        self.search(np.ones((1, self._vectors.shape[1]), np.float32), k)


def leaves_of(items: int) -> int:
    """Partitions of ScaNN's tree; 0 where there is none."""
    return round(_LEAVES_PER_ROOT * items**0.5) if items >= TREE_FROM else 0


def build_scann(file: Path, depth: int, leaves: int) -> None:
    """Write ScaNN's files beside a file of vectors.

    Args:
        file: The vectors, as NumPy saves them.
        depth: Nearest items that searches usually want.
        leaves: Partitions; 0 without a tree. See `leaves_of`.
    """
    # ScaNN lets go of its copy of the vectors before it writes: that takes about a megabyte a
    # partition.
    searcher = _builder(np.load(file, mmap_mode="r", allow_pickle=False), depth, leaves).build()
    searcher.serialize(str(file.parent), relative_path=True)
    del searcher
    give_back_memory()


def _builder(vectors: Float32[np.ndarray, "items dim"], depth: int, leaves: int) -> Any:
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
    # product on unit vectors; sixteen code words are learnt as well from fewer than its 100,000.
    return builder.score_ah(
        2, anisotropic_quantization_threshold=0.2, training_sample_size=_CODE_WORDS_FROM
    )


def open_scann(
    directory: Path, vectors: Float32[np.ndarray, "items dim"], leaves: int, effort: Effort
) -> ScannIndex:
    """Open what `build_scann` wrote.

    Raises:
        InputError: there is a pickle, which ScaNN would run.
    """
    if (directory / SCANN_PICKLE).exists():
        raise InputError(f"{directory / SCANN_PICKLE} is a pickle, which can run code: refused")
    from scann import scann_ops_pybind  # noqa: PLC0415 - has no wheel outside Linux

    searcher = scann_ops_pybind.load_searcher(str(directory))
    return ScannIndex(searcher, vectors, leaves, effort)


def least_effort(
    index: ScannIndex,
    vectors: Float32[np.ndarray, "items dim"],
    queries: Float32[np.ndarray, "queries dim"],
    depth: int,
    recall_target: float,
) -> Effort:
    """The cheapest way to search that reaches the recall target; the dearest where none does.

    What a search costs is counted in items looked at, not timed, so that an index built twice is
    searched alike.

    Args:
        index: The index.
        vectors: What it was built from.
        queries: Unit vectors of a sample of queries.
        depth: Nearest items that the target is about.
        recall_target: Share of the exact nearest that is to be found.
    """
    depth = min(depth, len(vectors))
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
        reached = recall(exact, rows) if complete else 0.0
        if reached >= recall_target:
            return effort
    logger.warning(
        "warning: the index finds %.4f of the %d nearest items at its most, and the recall target "
        "is %g: searches will look at all they can",
        reached,
        depth,
        recall_target,
    )
    return effort


def has_scann() -> bool:
    """Whether the platform has ScaNN."""
    return importlib.util.find_spec("scann") is not None


def require_scann() -> None:
    """Raises InputError where the platform has no ScaNN."""
    if not has_scann():
        raise InputError(
            "this index needs ScaNN, which has wheels for Linux only: build it with "
            "`--index.kind exact` to serve it here"
        )
