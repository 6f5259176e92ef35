"""`make bench`: all comparisons, or the ones named; prints a table and writes results.json."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import tyro

from bench import indexes, inputs, models, report


@dataclass(frozen=True)
class BenchConfig:
    """What to compare, and how often."""

    only: tuple[Literal["encoding", "reranking", "training", "index"], ...] = ()  # all by default
    rounds: int = 7  # timed turns of each contestant
    items: int = indexes.ITEMS  # vectors of the index; a million take an hour to encode and build
    work: Path = Path("out/bench")  # exported models, kept for the next time
    results: Path = Path("bench/results.json")  # where the figures go


def main(config: BenchConfig) -> None:
    """Run the contests one after the other; rows are written as soon as they are known."""
    start = time.perf_counter()
    inputs.dataset()  # first: without it there is nothing to compare on
    models.prepare(config.work)
    contests: dict[str, Callable[[Path, int], list[report.Row]]] = {
        "encoding": models.encoding,
        "reranking": models.reranking,
        "training": models.training,
        "index": partial(indexes.indexes, items=config.items),
    }
    for name in config.only or contests:
        rows = contests[name](config.work, config.rounds)
        report.write(config.results, rows)
        report.say(report.markdown(rows))
    report.say(f"{(time.perf_counter() - start) / 60:.1f} minutes in all")


if __name__ == "__main__":
    main(tyro.cli(BenchConfig, prog="python -m bench"))
