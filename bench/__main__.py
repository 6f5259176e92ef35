"""Run all comparisons or the named ones, print a table and write results.json (`make bench`)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import tyro

from bench.harness import inputs
from bench.index import indexes
from bench.models import comparisons as models
from bench.report import results as report


@dataclass(frozen=True)
class BenchConfig:
    """Options of `python -m bench`."""

    # comparisons to run; empty: all
    only: tuple[Literal["encoding", "reranking", "training", "index"], ...] = ()
    rounds: int = 7  # timed rounds of each contestant
    items: int = indexes.ITEMS  # vectors in the index; a million take an hour to encode
    work: Path = Path("out/bench")  # directory of models and indexes; later runs reuse them
    results: Path = Path("bench/results.json")  # file for the results


def main(config: BenchConfig) -> None:
    """Run one comparison after another; write a comparison's rows as soon as it ends."""
    start = time.perf_counter()
    inputs.dataset()  # fail early if the data is missing
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
    report.say(f"{(time.perf_counter() - start) / 60:.1f} minutes in total")


if __name__ == "__main__":
    main(tyro.cli(BenchConfig, prog="python -m bench"))
