"""Golden queries: what a bundle answered when it was built, replayed when it is loaded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from search.bundle import BundleError
from search.records import SearchResult

DEPTH = 10
# Other processors round otherwise; another input type of products rounds much more.
TOLERANCE = {True: 1e-3, False: 1e-1}  # of scores, by whether numerics are the same
MIN_OVERLAP = {True: 0.9, False: 0.7}  # of the top 10


@runtime_checkable
class Searcher(Protocol):
    """Whatever answers searches."""

    def search(self, query: str, *, limit: int) -> SearchResult:
        """One page of results."""
        ...


def record(engine: Searcher, queries: Sequence[str], path: Path) -> None:
    """Write what the engine answers now, a JSON object a line."""
    lines = []
    for query in queries:
        hits = engine.search(query, limit=DEPTH).hits
        answer = [[hit.item_id, hit.score] for hit in hits]
        lines.append(json.dumps({"query": query, "hits": answer}, ensure_ascii=False))
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def replay(engine: Searcher, path: Path, *, same_numerics: bool) -> None:
    """Ask the golden queries again.

    Args:
        engine: The engine under test.
        path: What `record` wrote.
        same_numerics: Whether products take the input type they took then.

    Raises:
        BundleError: a query's top 10 overlap too little, or an item's score moved too far.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        golden = json.loads(line)
        expected = dict(golden["hits"])
        found = {h.item_id: h.score for h in engine.search(golden["query"], limit=DEPTH).hits}
        shared = expected.keys() & found.keys()
        if len(shared) < MIN_OVERLAP[same_numerics] * len(expected):
            raise BundleError(
                f"{path} line {number}: only {len(shared)} of {len(expected)} results are what "
                "they were when the bundle was built; it was built by another version or damaged"
            )
        moved = max((abs(expected[item] - found[item]) for item in shared), default=0.0)
        if moved > TOLERANCE[same_numerics]:
            raise BundleError(
                f"{path} line {number}: a score moved by {moved:.2g} since the bundle was built; "
                "it was built by another version or damaged"
            )
