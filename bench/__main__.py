"""Measure the rows of the results, and save each row in results.json (`make bench`).

    python -m bench --only encode "index-100k-*"
    python -m bench --rounds 1 --titles 99 --reranked 2 --vectors 5000 --results out/try.json

A row is skipped if its saved measurement is current: the same code, processor, package versions and
sizes. Comments and docstrings are not code. So a run that was stopped continues where it stopped.
The second command tries all contestants on small inputs.

The first run measures whether Shortlist multiplies faster in bfloat16 or in float32, and stores the
choice in `numerics.json` below `out/bench/xla`. Delete this file to measure again.
"""

import os
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import jax
import tyro

from bench.harness import inputs
from bench.harness.output import say
from bench.harness.rows import Measurement, Sizes
from bench.index import indexes
from bench.index.filters.comparison import FILTERS
from bench.models import encoding, reranking
from bench.models.training.comparison import TRAINING
from bench.report import results, tables
from bert.compilation_cache import enable_compilation_cache

MEASUREMENTS: tuple[Measurement, ...] = (
    encoding.ENCODING,
    reranking.RERANKING,
    *TRAINING,
    *indexes.INDEXES,
    *FILTERS,
)


@dataclass(frozen=True)
class BenchConfig:
    """Options of `python -m bench`."""

    only: tuple[str, ...] = ("*",)  # names of rows to measure, or patterns such as "index-*"
    again: bool = False  # measure rows again even if their saved measurements are current
    sizes: tyro.conf.OmitArgPrefixes[Sizes] = field(default_factory=Sizes)
    work: Path = Path("out/bench")  # directory of models and indexes; later runs reuse them
    results: Path = results.FILE  # file for the results


def chosen(patterns: tuple[str, ...]) -> list[Measurement]:
    """Return the measurements whose names match one of the patterns.

    Raises:
        SystemExit: a pattern matches no name.
    """
    names = [measurement.name for measurement in MEASUREMENTS]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SystemExit(f"error: --only {pattern} matches none of {', '.join(names)}")
    return [
        measurement
        for measurement in MEASUREMENTS
        if any(fnmatchcase(measurement.name, pattern) for pattern in patterns)
    ]


def main(config: BenchConfig) -> None:
    """Measure one row after another; save a row as soon as it is measured."""
    measurements = chosen(config.only)
    inputs.dataset()  # fail early if the data is missing
    enable_compilation_cache(config.work / "xla")
    # All processes use the number type that this process measures or that the cache stores.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    for measurement in measurements:
        now = results.conditions(measurement, config.sizes)
        saved = results.read(config.results).get(measurement.name, {})
        if not config.again and results.is_current(saved, now):
            say(f"{measurement.name} is current: {saved['date']} at commit {saved['commit']}")
            continue
        start = time.perf_counter()
        row = measurement.measure(config.work, config.sizes)
        minutes = round((time.perf_counter() - start) / 60, 1)
        order = [measurement.name for measurement in MEASUREMENTS]
        results.save(config.results, order, measurement.name, row, now | {"minutes": minutes})
        say(f"\n{measurement.name}, {row.work}, {minutes:.1f} minutes:\n{tables.tools(row)}")


if __name__ == "__main__":
    main(tyro.cli(BenchConfig, prog="python -m bench"))
