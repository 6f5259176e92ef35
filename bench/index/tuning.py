"""Choose the search effort that reaches a recall target in the least time."""

import bisect
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.integer[Any]]
# What a search is asked: a query's vector, or a query's vector and a filter.
Question: TypeAlias = tuple[Any, ...]
# Returns the rows of the nearest items, best first; -1 or fewer rows if items are missing.
Search: TypeAlias = Callable[..., Rows]

_HOPELESS = 1.5  # an effort is given up if it takes this multiple of the best time
_CLOSE = 1.2  # efforts up to this multiple of the best time are timed again
_REPEATS = 3


@dataclass(frozen=True)
class Effort:
    """How much of an index a search reads.

    Attributes:
        visits: Number of partitions or graph nodes to visit; 0 if there is no such setting.
        rescored: Number of candidates to rescore with better vectors, per requested item.
    """

    visits: int
    rescored: float = 1.0

    def __str__(self) -> str:
        visits = f"{self.visits} visited" if self.visits else ""
        rescored = f"{self.rescored:g} rescored per result" if self.rescored != 1 else ""
        return ", ".join(filter(None, (visits, rescored))) or "no setting"


@dataclass(frozen=True)
class OpenIndex:
    """An index whose search effort can be set.

    Attributes:
        configure: Sets the effort, and returns the search function.
        visits: Values of `Effort.visits` to try, ascending.
        size: Bytes of the index, with all vectors that it needs.
        rescored: Values of `Effort.rescored` to try, ascending.
    """

    configure: Callable[[Effort], Search]
    visits: Sequence[int]
    size: int
    rescored: Sequence[float] = (1.0,)


def ladder(most: int, least: int = 1, ratio: float = 1.1) -> list[int]:
    """Return numbers from `least` to `most`; each is about `ratio` times the one before."""
    steps = math.ceil(math.log(most / least, ratio))
    return sorted({round(most / ratio**step) for step in range(steps)} | {least, most})


def answers(
    search: Search,
    questions: Sequence[Question],
    k: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[np.ndarray, Rows]:
    """Search one question after another; return the seconds and the k rows of each."""
    seconds, rows = np.empty(len(questions)), np.full((len(questions), k), -1)
    for number, question in enumerate(questions):
        start = clock()
        hits = search(*question)
        seconds[number] = clock() - start
        rows[number, : len(hits)] = hits
    return seconds, rows


def found_share(exact: Iterable[np.ndarray], rows: Iterable[np.ndarray]) -> float:
    """Return the recall of `rows`; rows of -1 are missing."""
    pairs = [(a[a >= 0], b[b >= 0]) for a, b in zip(exact, rows, strict=True)]
    return sum(len(np.intersect1d(a, b)) for a, b in pairs) / sum(len(a) for a, _ in pairs)


def cheapest(
    index: OpenIndex,
    questions: Sequence[Question],
    exact: Rows,
    target: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Effort:
    """Return the effort with the least time whose recall reaches the target.

    Recall and time grow with the number of visits. For each number of rescored candidates, a
    bisection finds the fewest visits that reach the target. If no effort reaches the target, the
    result is the greatest effort.

    Args:
        index: The index.
        questions: The questions to measure recall and time with.
        exact: The rows that an exact search returns for each question.
        target: The recall to reach.
        clock: Returns the time in seconds.
    """

    def measured(effort: Effort) -> tuple[float, float]:
        seconds, rows = answers(index.configure(effort), questions, exact.shape[1], clock)
        return found_share(exact, rows), float(seconds.sum())

    tried: dict[Effort, tuple[float, float]] = {}  # recall and seconds of each effort
    best: dict[Effort, float] = {}  # seconds of the efforts that reach the target
    for rescored in index.rescored:
        limit = _HOPELESS * min(best.values(), default=math.inf)

        def is_enough(visits: int, rescored: float = rescored, limit: float = limit) -> bool:
            effort = Effort(visits, rescored)
            tried[effort] = measured(effort)
            share, seconds = tried[effort]
            return share >= target or seconds > limit

        number = bisect.bisect_left(index.visits, True, key=is_enough)
        if number < len(index.visits):
            effort = Effort(index.visits[number], rescored)
            share, seconds = tried[effort]
            if share >= target:
                best[effort] = seconds
    if not best:
        return Effort(index.visits[-1], index.rescored[-1])
    close = [effort for effort in best if best[effort] <= _CLOSE * min(best.values())]
    for effort in close:
        best[effort] = min(measured(effort)[1] for _ in range(_REPEATS))
    return min(close, key=best.__getitem__)
