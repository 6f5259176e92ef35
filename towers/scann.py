"""The ScaNN index (Guo et al., 2020, arXiv 1908.10396), tuned to a recall target at the least cost.

ScaNN would save item ids as a pickle, so the index is built without ids.
"""

import bisect
import contextlib
import ctypes
import functools
import importlib.util
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int, Int32

from base.errors import InputError
from base.memory import give_back_memory
from base.untrusted.arrays import map_array
from bert.numerics import cpu_flags
from towers.exact import blocks, nearest, nearest_of
from towers.vectors import Vectors, as_float32

logger = logging.getLogger(__name__)

SCANN_PICKLE = "scann_docids.pkl"  # ScaNN unpickles this file if it exists; no build writes it
_ASSETS_FILE = "scann_assets.pbtxt"  # names the other files of the index
_ASSETS = re.compile(r'(assets \{\s+asset_type: [A-Z0-9_]+\s+asset_path: "[\w.]+"\s+\}\s+)+')
# Minimum number of items for partitions, which are the leaves of ScaNN's tree. With fewer items, a
# search scans all quantised vectors.
TREE_FROM = 100_000
_LEAVES_PER_ROOT = 3  # number of partitions divided by the square root of the number of items
# Each item is in two partitions. The second partition compensates for errors of the first (SOAR:
# Sun et al., 2024, arXiv 2404.00774). Centroids are optimised for inner products (AVQ). With SOAR
# and AVQ, a search visits a third as many partitions at equal recall: see
# docs/benchmarks/choices.md.
_SOAR_LAMBDA = 2.5
_AVQ = 2.5
_CODE_WORDS_FROM = 25_000  # size of the sample of vectors from which ScaNN learns the code words
# Numbers of rescored candidates that tuning tries, as multiples of the depth.
_REORDERS = (
    *(1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.6, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0),
    *(10.0, 12.0, 14.0, 16.0, 20.0, 24.0, 28.0, 32.0),
)
_FIRST_REORDER = 4.0  # multiple to try first: most targets need about this multiple
_LEAF_STEP = 1.05  # ratio of successive numbers of partitions that tuning tries
# Cost of rescoring one candidate, relative to scanning one quantised item: 0.3 microseconds against
# 5 nanoseconds, measured on one core with AVX2. Rescoring is slower because it reads sixteen times
# the bytes, from scattered addresses, and because NumPy is slower than ScaNN.
_REORDER_COST = 60
_AVX2 = "_ZN14research_scann14flags_internal15should_use_avx2E"  # a variable of ScaNN's library


@dataclass(frozen=True)
class Effort:
    """How much of a ScaNN index a search reads.

    Attributes:
        reorder: Number of candidates rescored exactly, per requested item.
        at_least: Minimum number of rescored candidates.
        leaves: Number of partitions to visit; 0 without a tree.
    """

    reorder: float
    at_least: int
    leaves: int

    def candidates(self, k: int) -> int:
        """Return the number of rescored candidates for k results."""
        return max(self.at_least, math.ceil(self.reorder * k))


class ScannIndex:
    """A ScaNN index, whose best candidates are rescored with full vectors.

    NumPy rescores the candidates and reads their vectors from the file. ScaNN could rescore a tenth
    to a third faster. But ScaNN would copy all vectors into memory when it opens the index, and
    would hold the interpreter lock during the copy.
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
            rows, scores = self._search(queries[0], k)
            return rows[None], scores[None]
        rows = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        for number, query in enumerate(queries):
            rows[number], scores[number] = self._search(query, k)
        return rows, scores

    def look(
        self, query: Float32[np.ndarray, " dim"], k: int, effort: Effort
    ) -> tuple[Int32[np.ndarray, " results"], Float32[np.ndarray, " results"]]:
        """Return rows and scores of the k best items that an effort finds, best first.

        The result has fewer than k items if the visited partitions have fewer than k.
        """
        return nearest_of(self._vectors, query, k, self.candidates(query, k, effort))

    def candidates(
        self, query: Float32[np.ndarray, " dim"], k: int, effort: Effort
    ) -> Int[np.ndarray, " candidates"]:
        """Return the rows that a search with this effort rescores, best estimates first."""
        most = min(effort.candidates(k), len(self._vectors))
        # Search one query at a time: for several queries, ScaNN pads missing results.
        rows: np.ndarray = self._searcher.search(query, most, most, effort.leaves or -1)[0]
        return rows.astype(np.intp)

    def _search(
        self, query: Float32[np.ndarray, " dim"], k: int
    ) -> tuple[Int32[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
        rows, scores = self.look(query, k, self.effort)
        if len(rows) < k:
            # The visited partitions have fewer than k items: visit all partitions.
            rows, scores = self.look(query, k, replace(self.effort, leaves=self.leaves))
        return rows, scores

    def report(self) -> dict[str, Any]:
        """See `index.VectorIndex.report`."""
        return {"kind": "scann", "leaves": self.leaves, "effort": asdict(self.effort)}

    def warm_up(self, k: int) -> None:
        """Load the quantised vectors into memory, by one search."""
        self.search(np.ones((1, self._vectors.shape[1]), np.float32), k)


def leaves_of(items: int) -> int:
    """Return the number of partitions for a number of items; 0 without a tree."""
    return round(_LEAVES_PER_ROOT * items**0.5) if items >= TREE_FROM else 0


def build_scann(directory: Path, vectors: Vectors, depth: int, leaves: int) -> None:
    """Build a ScaNN index, and write its files.

    Args:
        directory: Directory of the files.
        vectors: The vectors.
        depth: Usual number of results of a search.
        leaves: Number of partitions, from `leaves_of`; 0 without a tree.
    """
    # Release the float32 copy before the files are written, because writing takes about a megabyte
    # of memory per partition.
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
            num_leaves_to_search=leaves,  # each search passes its own number
            training_sample_size=min(len(vectors), 250_000),
            soar_lambda=_SOAR_LAMBDA,
            avq=_AVQ,
        )
    # ScaNN's authors advise two dimensions per code word and this threshold for inner products of
    # unit vectors. To learn sixteen code words, fewer vectors than the default of 100,000 suffice.
    return builder.score_ah(
        2, anisotropic_quantization_threshold=0.2, training_sample_size=_CODE_WORDS_FROM
    )


def open_scann(directory: Path, vectors: Vectors, leaves: int, effort: Effort) -> ScannIndex:
    """Open an index that `build_scann` wrote.

    Raises:
        InputError: the directory contains ScaNN's pickle file, whose code ScaNN would run. Or the
            header of an array does not fit its file. Or ScaNN would read files of other
            directories.
    """
    if (directory / SCANN_PICKLE).exists():
        raise InputError(f"{directory / SCANN_PICKLE} is a pickle, which can run code: refused")
    if not _ASSETS.fullmatch((directory / _ASSETS_FILE).read_text()):
        raise InputError(f"{directory / _ASSETS_FILE} is no list of files in its directory")
    for path in directory.glob("*.npy"):
        try:
            map_array(path)
        except ValueError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
    return ScannIndex(_library().load_searcher(str(directory)), vectors, leaves, effort)


def _library() -> Any:
    """Import ScaNN, and switch on AVX2 if the processor has it.

    ScaNN's wheels from 1.3.5 on do not test which instructions the processor has. By default, they
    use only SSE4.
    """
    from scann import scann_ops_pybind  # noqa: PLC0415 - no wheel outside Linux

    if {"avx2", "fma"} <= cpu_flags():
        import scann_pybind  # noqa: PLC0415 - no wheel outside Linux

        with contextlib.suppress(ValueError):  # some releases lack this variable
            ctypes.c_bool.in_dll(ctypes.CDLL(scann_pybind.__file__), _AVX2).value = True
    return scann_ops_pybind


def least_effort(
    index: ScannIndex,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
    depth: int,
    recall_target: float,
    reorders: Sequence[float] = _REORDERS,
) -> Effort:
    """Return the cheapest effort that reaches the recall target; the greatest effort if none does.

    The cost of a search is a count of items, not a measured time, so a repeated build chooses the
    same effort. Recall grows with the number of candidates and with the number of partitions. For
    each number of candidates, a bisection finds the smallest number of partitions that reaches the
    target. Efforts that cost more than the best one so far are not tried.

    Args:
        index: The index.
        vectors: The indexed vectors, or the same vectors before they were rounded to bfloat16.
        queries: Unit vectors of sample queries. Their mean recall minus its standard error must
            reach the target, so that other queries reach it as well.
        depth: Number of nearest items that the target refers to.
        recall_target: Share of the exact nearest items to find.
        reorders: Numbers of rescored candidates to try, as multiples of the depth, ascending.
    """
    depth = min(depth, len(vectors))
    exact, _ = nearest(blocks(vectors), queries, depth)
    most = index.leaves

    def cost(effort: Effort) -> float:
        # In a tree, each item is in two partitions, so the partitions have twice as many entries.
        share = 2 * effort.leaves / most if most else 1.0
        return share * len(vectors) + _REORDER_COST * effort.candidates(depth)

    @functools.cache
    def reached(effort: Effort) -> bool:
        shares = _shares(index, exact, queries, effort)
        return bool(shares.mean() - shares.std() / math.sqrt(len(shares)) >= recall_target)

    best: Effort | None = None
    for times in sorted(reorders, key=lambda times: abs(math.log(times / _FIRST_REORDER))):
        efforts = [Effort(times, math.ceil(times * depth), leaves) for leaves in _ladder(most)]
        if best is not None:
            limit = cost(best)
            efforts = [effort for effort in efforts if cost(effort) < limit]
        if efforts and reached(efforts[-1]):
            best = efforts[bisect.bisect_left(efforts, True, key=reached)]
    if best is not None:
        return best
    greatest = Effort(reorders[-1], math.ceil(reorders[-1] * depth), most)
    logger.warning(
        "warning: recall target not reached, searches use the greatest effort: depth=%d "
        "recall=%.4f target=%g",
        depth,
        _shares(index, exact, queries, greatest).mean(),
        recall_target,
    )
    return greatest


def _ladder(leaves: int) -> list[int]:
    """Return the numbers of partitions that tuning tries, ascending; [0] without a tree."""
    steps = math.ceil(math.log(leaves, _LEAF_STEP)) if leaves else 0
    return sorted({round(leaves / _LEAF_STEP**step) for step in range(steps + 1)})


def _shares(
    index: ScannIndex,
    exact: Int32[np.ndarray, "queries depth"],
    queries: Float32[np.ndarray, "queries dim"],
    effort: Effort,
) -> Float[np.ndarray, " shares"]:
    """Return the recall of each query: the share of its exact nearest items that are candidates.

    Rescoring puts the exact nearest items first, so recall depends only on the candidates. If any
    query has fewer than `depth` candidates, the effort is unsuitable, because a search would then
    visit all partitions: the result is a single 0. Without queries, the result is a single 1.
    """
    depth = exact.shape[1]
    shares = np.ones(max(1, len(queries)))
    for number, (query, nearest_rows) in enumerate(zip(queries, exact, strict=True)):
        candidates = index.candidates(query, depth, effort)
        if len(candidates) < depth:
            return np.zeros(1)
        hits = np.intersect1d(candidates, nearest_rows, assume_unique=True)
        shares[number] = len(hits) / depth
    return shares


def has_scann() -> bool:
    """Return whether ScaNN is installed."""
    return importlib.util.find_spec("scann") is not None


def require_scann() -> None:
    """Raise InputError if ScaNN is not installed."""
    if not has_scann():
        raise InputError(
            "this index needs ScaNN, which has wheels for Linux only: build it with "
            "`--index.kind exact` to serve it here"
        )
