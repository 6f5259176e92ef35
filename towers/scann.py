"""Search with ScaNN, and how much of an index a search has to look at.

ScaNN's own serialisation pickles ids, so it is built without any (ScaNN: Guo et al., 2020, arXiv
1908.10396).
"""

import bisect
import contextlib
import ctypes
import functools
import importlib.util
import logging
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from base.errors import InputError
from base.memory import give_back_memory
from bert.numerics import cpu_flags
from towers.exact import blocks, nearest, nearest_of
from towers.vectors import Vectors, as_float32

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
# What a search may look at: rescored candidates as multiples of the depth, and partitions, each
# step a twentieth more than the one before.
_REORDERS = (
    *(1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.6, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0),
    *(10.0, 12.0, 14.0, 16.0, 20.0, 24.0, 28.0, 32.0),
)
_FIRST_REORDER = 4.0  # is tried first: near what most targets take
_LEAF_STEP = 1.05
# What rescoring one candidate costs, in quantised items scanned: it reads sixteen times the bytes,
# from scattered places, and NumPy's part is not ScaNN's speed. 0.3 microseconds against 5
# nanoseconds, as measured on one core with AVX2.
_REORDER_COST = 60
_AVX2 = "_ZN14research_scann14flags_internal15should_use_avx2E"  # a bool of ScaNN's library


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
        vectors: Vectors,
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
        if len(queries) == 1:
            rows, scores = self._found(queries[0], k)
            return rows[None], scores[None]
        rows = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        for at, query in enumerate(queries):
            rows[at], scores[at] = self._found(query, k)
        return rows, scores

    def look(
        self, query: Float32[np.ndarray, " dim"], k: int, effort: Effort
    ) -> tuple[Int32[np.ndarray, " found"], Float32[np.ndarray, " found"]]:
        """Rows and scores of the k best that an effort finds, best first.

        They are fewer where the partitions that it visits hold fewer items.
        """
        return nearest_of(self._vectors, query, k, self.candidates(query, k, effort))

    def candidates(
        self, query: Float32[np.ndarray, " dim"], k: int, effort: Effort
    ) -> Int[np.ndarray, " candidates"]:
        """Rows that an effort rescores, those with the best estimates first."""
        most = effort.candidates(k)
        # Of one query ScaNN gives no more than it finds; of several it would fill up with none.
        found: np.ndarray = self._searcher.search(query, most, most, effort.leaves or -1)[0]
        return found.astype(np.intp)

    def _found(
        self, query: Float32[np.ndarray, " dim"], k: int
    ) -> tuple[Int32[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
        rows, scores = self.look(query, k, self.effort)
        if len(rows) < k:
            # The visited partitions held fewer than k items: visit all of them.
            rows, scores = self.look(query, k, replace(self.effort, leaves=self.leaves))
        return rows, scores

    def report(self) -> dict[str, Any]:
        """See `index.VectorIndex.report`."""
        return {"kind": "scann", "leaves": self.leaves, "effort": asdict(self.effort)}

    def warm_up(self, k: int) -> None:
        """Bring the quantised vectors into memory with one search."""
        self.search(np.ones((1, self._vectors.shape[1]), np.float32), k)


def leaves_of(items: int) -> int:
    """Partitions of ScaNN's tree; 0 where there is none."""
    return round(_LEAVES_PER_ROOT * items**0.5) if items >= TREE_FROM else 0


def build_scann(directory: Path, vectors: Vectors, depth: int, leaves: int) -> None:
    """Write ScaNN's files of some vectors.

    Args:
        directory: Where they go.
        vectors: The vectors.
        depth: Nearest items that searches usually want.
        leaves: Partitions; 0 without a tree. See `leaves_of`.
    """
    # ScaNN lets go of its copy of the vectors before it writes: that takes about a megabyte a
    # partition.
    with as_float32(vectors, directory) as whole:
        searcher = _builder(whole, depth, leaves).build()
    searcher.serialize(str(directory), relative_path=True)
    del searcher
    give_back_memory()


def _builder(vectors: Float32[np.ndarray, "items dim"], depth: int, leaves: int) -> Any:
    builder = _library().builder(vectors, depth, "dot_product")
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


def open_scann(directory: Path, vectors: Vectors, leaves: int, effort: Effort) -> ScannIndex:
    """Open what `build_scann` wrote.

    Raises:
        InputError: there is a pickle, which ScaNN would run.
    """
    if (directory / SCANN_PICKLE).exists():
        raise InputError(f"{directory / SCANN_PICKLE} is a pickle, which can run code: refused")
    return ScannIndex(_library().load_searcher(str(directory)), vectors, leaves, effort)


def _library() -> Any:
    """ScaNN, which multiplies with AVX2 where the processor can.

    Its wheels from 1.3.5 on are built without the test of the processor that would find that out,
    so everything in them would run on SSE4.
    """
    from scann import scann_ops_pybind  # noqa: PLC0415 - has no wheel outside Linux

    if {"avx2", "fma"} <= cpu_flags():
        import scann_pybind  # noqa: PLC0415 - as above

        with contextlib.suppress(ValueError):  # a release that has no such switch
            ctypes.c_bool.in_dll(ctypes.CDLL(scann_pybind.__file__), _AVX2).value = True
    return scann_ops_pybind


def least_effort(
    index: ScannIndex,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
    depth: int,
    recall_target: float,
) -> Effort:
    """The cheapest way to search that reaches the recall target; the dearest where none does.

    What a search costs is counted in items looked at, not timed, so that an index built twice is
    searched alike. Recall grows with candidates and with partitions: for each number of candidates
    a bisection finds how many partitions it takes, among those that would be cheaper than the best
    so far.

    Args:
        index: The index.
        vectors: What it was built from, or what that was before it was rounded.
        queries: Unit vectors of a sample of queries. Of their recall the standard error is taken
            off, so that other queries reach the target as well.
        depth: Nearest items that the target is about.
        recall_target: Share of the exact nearest that is to be found.
    """
    depth = min(depth, len(vectors))
    exact, _ = nearest(blocks(vectors), queries, depth)
    most = index.leaves

    def cost(effort: Effort) -> float:
        # Of a tree's items each lies in two partitions.
        share = 2 * effort.leaves / most if most else 1.0
        return share * len(vectors) + _REORDER_COST * effort.candidates(depth)

    @functools.cache
    def reached(effort: Effort) -> bool:
        shares = _shares(index, exact, queries, effort)
        return bool(shares.mean() - shares.std() / math.sqrt(len(shares)) >= recall_target)

    best: Effort | None = None
    for times in sorted(_REORDERS, key=lambda times: abs(math.log(times / _FIRST_REORDER))):
        efforts = [Effort(times, math.ceil(times * depth), leaves) for leaves in _ladder(most)]
        if best is not None:
            limit = cost(best)
            efforts = [effort for effort in efforts if cost(effort) < limit]
        if efforts and reached(efforts[-1]):
            best = efforts[bisect.bisect_left(efforts, True, key=reached)]
    if best is not None:
        return best
    dearest = Effort(_REORDERS[-1], math.ceil(_REORDERS[-1] * depth), most)
    logger.warning(
        "warning: the index finds %.4f of the %d nearest items at its most, and the recall target "
        "is %g: searches will look at all they can",
        _shares(index, exact, queries, dearest).mean(),
        depth,
        recall_target,
    )
    return dearest


def _ladder(leaves: int) -> list[int]:
    """Numbers of partitions that a search may visit; 0 alone without a tree."""
    steps = math.ceil(math.log(leaves, _LEAF_STEP)) if leaves else 0
    return sorted({round(leaves / _LEAF_STEP**step) for step in range(steps + 1)})


def _shares(
    index: ScannIndex,
    exact: Int32[np.ndarray, "queries depth"],
    queries: Float32[np.ndarray, "queries dim"],
    effort: Effort,
) -> Float[np.ndarray, " shares"]:
    """By query, the share of the exact nearest that an effort finds; 1 where there is no query.

    They are those among its candidates: rescored, they come first. An effort that finds too few for
    some query finds nothing, as a search would look further then.
    """
    depth = exact.shape[1]
    shares = np.ones(max(1, len(queries)))
    for at, (query, wanted) in enumerate(zip(queries, exact, strict=True)):
        found = index.candidates(query, depth, effort)
        if len(found) < depth:
            return np.zeros(1)
        shares[at] = len(np.intersect1d(found, wanted, assume_unique=True)) / depth
    return shares


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
