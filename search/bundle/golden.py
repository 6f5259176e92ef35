"""Golden queries: what a bundle answered when it was built, replayed when it is loaded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from search.bundle import BundleError
from search.request import SearchRequest
from search.result import SearchResult

ANSWERS = 2  # raised when the engine comes to answer otherwise from the same files
DEPTH = 10
# Other processors round otherwise; bfloat16 inputs of products round much more.
TOLERANCE = {True: 1e-3, False: 1e-1}  # of scores, by whether float32 is compared with float32
MIN_OVERLAP = {True: 0.9, False: 0.7}  # of the top 10


@runtime_checkable
class Searcher(Protocol):
    """Whatever answers searches."""

    def search(self, request: SearchRequest) -> SearchResult:
        """One page of results."""
        ...


def record(engine: Searcher, queries: Sequence[str], path: Path) -> None:
    """Write what the engine answers now, a JSON object a line."""
    lines = []
    for query in queries:
        hits = engine.search(SearchRequest(query, page_size=DEPTH)).hits
        answer = [[hit.item_id, hit.score] for hit in hits]
        lines.append(json.dumps({"query": query, "hits": answer}, ensure_ascii=False))
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def queries(path: Path) -> list[str]:
    """The queries of what `record` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["query"] for line in lines]


def replay(engine: Searcher, path: Path, *, both_float32: bool) -> None:
    """Ask the golden queries again.

    Args:
        engine: The engine under test.
        path: What `record` wrote.
        both_float32: Whether products take float32 inputs, now as then.

    Raises:
        BundleError: a query's top 10 overlap too little, or an item's score moved too far.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        golden = json.loads(line)
        expected = dict(golden["hits"])
        request = SearchRequest(golden["query"], page_size=DEPTH)
        found = {h.item_id: h.score for h in engine.search(request).hits}
        shared = expected.keys() & found.keys()
        if len(shared) < MIN_OVERLAP[both_float32] * len(expected):
            raise BundleError(
                f"{path} line {number}: only {len(shared)} of {len(expected)} results are what "
                "they were when the bundle was built; it was built by another version or damaged"
            )
        moved = np.abs([expected[item] - found[item] for item in shared]).max(initial=0.0)
        if not moved <= TOLERANCE[both_float32]:  # NaN is not
            raise BundleError(
                f"{path} line {number}: a score moved by {moved:.2g} since the bundle was built; "
                "it was built by another version or damaged"
            )
