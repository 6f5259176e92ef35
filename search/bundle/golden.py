"""Golden queries: queries whose results are recorded at the build and checked at each load."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from search.bundle import BundleError
from search.request import SearchRequest
from search.result import SearchResult
from search.runtime.deadline import caller_check
from search.understanding.interpretation import NOTHING

ANSWERS = 2  # increase this when an engine change alters the results of unchanged models
DEPTH = 10
# The keys say whether matrix products had float32 inputs both at recording and at loading.
# Processors round differently, and bfloat16 inputs are rounded much more than float32 inputs.
TOLERANCE = {True: 1e-3, False: 1e-1}  # allowed change of a score
MIN_OVERLAP = {True: 0.9, False: 0.7}  # smallest share of the recorded top 10 to find again


@runtime_checkable
class Searcher(Protocol):
    """Any engine that answers searches."""

    def search(self, request: SearchRequest) -> SearchResult:
        """Return one page of results."""
        ...


def record(engine: Searcher, queries: Sequence[str], path: Path) -> None:
    """Write the engine's results for golden queries, one JSON object per line."""
    lines = []
    for query in queries:
        hits = engine.search(_request(query)).hits
        answer = [[hit.item_id, hit.score] for hit in hits]
        lines.append(json.dumps({"query": query, "hits": answer}, ensure_ascii=False))
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def queries(path: Path) -> list[str]:
    """Return the queries in a file that `record` wrote."""
    return [golden["query"] for _, golden in _lines(path)]


def replay(engine: Searcher, path: Path, *, both_float32: bool) -> None:
    """Search for the golden queries again, and compare the results.

    Args:
        engine: The engine under test.
        path: The file that `record` wrote.
        both_float32: Whether matrix products had float32 inputs at recording and also have float32
            inputs now.

    Raises:
        BundleError: there are no queries or too many, too few items of a recorded top 10 are found
            again, or the score of an item changed too much.
        DeadlineExceededError: the caller left, or its deadline passed.
    """
    check = caller_check()
    for number, golden in _lines(path):
        check()
        expected = dict(golden["hits"])
        scores = {h.item_id: h.score for h in engine.search(_request(golden["query"])).hits}
        shared = expected.keys() & scores.keys()
        if len(shared) < MIN_OVERLAP[both_float32] * len(expected):
            raise BundleError(
                f"{path} line {number}: only {len(shared)} of {len(expected)} results are what "
                "they were when the bundle was built; it was built by another version or damaged"
            )
        moved = np.abs([expected[item] - scores[item] for item in shared]).max(initial=0.0)
        if not moved <= TOLERANCE[both_float32]:  # also refuses NaN
            raise BundleError(
                f"{path} line {number}: a score moved by {moved:.2g} since the bundle was built; "
                "it was built by another version or damaged"
            )


def _request(query: str) -> SearchRequest:
    """Return the search for a golden query: as typed, because bundles outlive rules of language."""
    return replace(SearchRequest.by_score(query, page_size=DEPTH), understanding=NOTHING)


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the content of each line of a file that `record` wrote.

    Raises:
        BundleError: there are no lines, or the file is too large.
    """
    try:
        content = read_bytes(path, limits.GOLDEN_BYTES)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    lines = content.decode("utf-8").splitlines()
    if not lines:
        raise BundleError(f"{path} has no queries, so nothing shows that answers are as before")
    if len(lines) > limits.GOLDEN_QUERIES:
        raise BundleError(
            f"{path} has {len(lines):,} queries, and at most {limits.GOLDEN_QUERIES} are replayed"
        )
    for number, line in enumerate(lines, start=1):
        yield number, json.loads(line)
