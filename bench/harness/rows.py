"""A row of the results: one kind of work, done by several tools."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.contest import Ratio, Timed

OURS = "Shortlist"


@dataclass(frozen=True)
class Sizes:
    """Sizes of the inputs, and numbers of timed rounds."""

    rounds: int | None = None  # timed rounds of each contestant; None: the row's own number
    titles: int = 5_000  # titles to encode
    reranked: int = 20  # queries whose candidates are reranked in a round, one after another
    steps: int = 4  # training steps per round
    vectors: int = 1_000_000  # maximum number of vectors in an index
    queries: int = 2_000  # real queries for an index; one half tunes it, the other half is timed


@dataclass(frozen=True)
class Contestant:
    """The speed of one tool in a row, and how its answers compare."""

    tool: str
    speed: float  # units of work per second, median of the rounds
    times: Ratio | None  # Shortlist's speed divided by the tool's; None for Shortlist
    same_answers: bool | None  # whether Shortlist and the tool agree; None if not compared
    answers: str = ""  # how the answers compare with the reference
    p50_ms: float | None = None  # median time of a query
    p99_ms: float | None = None
    bytes_per_item: float | None = None  # size of the index, with all vectors that it needs
    setting: str = ""  # the search effort that was timed


@dataclass(frozen=True)
class Row:
    """One kind of work, done by several tools."""

    work: str  # such as "rerank 50 pairs"
    unit: str  # unit of work, such as "pairs"
    rounds: int  # timed rounds of each contestant
    contestants: tuple[Contestant, ...]  # Shortlist first
    note: str = ""  # how the measurement differs from one by the current code

    @property
    def ours(self) -> Contestant:
        """Shortlist's part of the row."""
        return self.contestants[0]

    def others(self, *, same: bool) -> list[Contestant]:
        """Return the tools with the same answers, or those with different answers, fastest first.

        Tools whose answers are not compared count as tools with the same answers.
        """
        others = (peer for peer in self.contestants[1:] if (peer.same_answers is not False) == same)
        return sorted(others, key=lambda peer: -peer.speed)


@dataclass(frozen=True)
class Measurement:
    """How to measure a row of the results.

    Attributes:
        name: The name of the row, for `--only`.
        module: The module that measures the row. A saved row is outdated once the code of this
            module or of a module that it imports changes.
        packages: The packages whose versions matter.
        measure: Measures the row, with a working directory and sizes.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    measure: Callable[[Path, Sizes], Row]


def compare(
    results: Mapping[str, Timed],
    units: int,
    agreement: Callable[[Any], tuple[bool | None, str]],
    **figures: Callable[[Timed], Any],
) -> tuple[Contestant, ...]:
    """Compare Shortlist with the other contestants.

    Args:
        results: Times and answers by contestant, Shortlist's first.
        units: Units of work in one round.
        agreement: Returns whether an answer equals the reference, and how it compares.
        figures: Functions of further fields of `Contestant`, by field.
    """
    ours = results[OURS]
    our_answers_same = agreement(ours.answer)[0]
    contestants = []
    for name, timed in results.items():
        same, answers = agreement(timed.answer)
        contestants.append(
            Contestant(
                name,
                units / timed.median_seconds,
                None if name == OURS else ours.faster_than(timed),
                same and our_answers_same,
                answers,
                **{field: figure(timed) for field, figure in figures.items()},
            )
        )
    return tuple(contestants)
