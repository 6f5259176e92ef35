"""Time searches of several indexes in turns: one core, one query at a time."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bench.harness.contest import Setups, Work, contest, contests
from bench.harness.rows import Contestant, compare
from bench.index.tuning import Effort, OpenIndex, Question, Rows, answers, cheapest, found_share

# For each contestant: a function that opens its index, and builds it if missing, with arguments.
Contestants: TypeAlias = dict[str, tuple[Callable[..., OpenIndex], tuple[Any, ...]]]


@dataclass(frozen=True)
class Asked:
    """Questions, and the rows that an exact search returns for each."""

    questions: Sequence[Question]
    exact: Rows


@dataclass(frozen=True)
class Answer:
    """A contestant's rows for each question, its effort, and the size of its index in bytes."""

    rows: Rows
    effort: Effort
    size: int


def compare_searches(
    contestants: Contestants,
    items: int,
    tuning: Asked,
    timed: Asked,
    target: float,
    tolerance: float,
    rounds: int,
) -> tuple[Contestant, ...]:
    """Build missing indexes, tune each contestant, and time all of them in turns.

    Args:
        contestants: The contestants, Shortlist first.
        items: Number of items in each index.
        tuning: Questions that tune the search effort of each contestant.
        timed: Questions that are timed.
        target: Recall that the tuning questions must reach.
        tolerance: The timed questions may miss the target by this much.
        rounds: Timed rounds of each contestant.
    """
    for name, contestant in contestants.items():
        # Build one index after another, on all cores, because builds need much memory.
        dict(contests({name: (_opened, contestant)}, {}, 0))
    setups: Setups = {
        name: (_searching, (*contestant, tuning, timed, target))
        for name, contestant in contestants.items()
    }

    def agreement(answer: Answer) -> tuple[bool, str]:
        recall = found_share(timed.exact, answer.rows)
        complete = np.array_equal((answer.rows >= 0).sum(1), (timed.exact >= 0).sum(1))
        missing = "" if complete else ", fewer results than exist"
        return recall >= target - tolerance, f"recall {recall:.4f}{missing}"

    return compare(
        contest(setups, rounds),
        len(timed.questions),
        agreement,
        p50_ms=lambda times: times.percentile_ms(50),
        p99_ms=lambda times: times.percentile_ms(99),
        bytes_per_item=lambda times: times.answer.size / items,
        setting=lambda times: str(times.answer.effort),
    )


def _opened(open_index: Callable[..., OpenIndex], arguments: tuple[Any, ...]) -> Work:
    open_index(*arguments)
    return lambda: None


def _searching(
    open_index: Callable[..., OpenIndex],
    arguments: tuple[Any, ...],
    tuning: Asked,
    timed: Asked,
    target: float,
) -> Work:
    """Open and tune an index on one core; all threads that it starts run on this core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    index = open_index(*arguments)
    effort = cheapest(index, tuning.questions, tuning.exact, target)
    search = index.configure(effort)

    def work() -> tuple[np.ndarray, Answer]:
        seconds, rows = answers(search, timed.questions, timed.exact.shape[1])
        return seconds, Answer(rows, effort, index.size)

    return work
