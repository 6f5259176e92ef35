"""Measure exploration, off-policy estimates and counters on the demo shop.

    python -m bench.quality.exploration

The demo shop knows the true probabilities of clicks and purchases. The command prints how often
the intervals of off-policy estimates have the true value, how soon exploration finds good new items
and what it costs, and whether counters that are corrected for positions order items nearer to the
truth.
"""

import sys
from dataclasses import dataclass

import numpy as np
import tyro

from bench.quality.exploration.counting import wrong_pairs
from bench.quality.exploration.finding import Finding, find
from bench.quality.exploration.off_policy import coverage
from bench.quality.exploration.shop import POSITIONS, DemoSearches
from search.exploration.request import Method
from train.evaluation.metrics import Interval, bootstrap


@dataclass(frozen=True)
class ExplorationConfig:
    """Options of `python -m bench.quality.exploration`."""

    runs: int = 50  # number of logs from which the target is estimated
    logged_searches: int = 8_000  # number of searches of each log
    logged_share: float = 0.2  # share of positions that explore in the logs
    queries: int = 10  # number of queries with a new item
    searches: int = 3_000  # number of searches of each query with a new item
    share: float = 0.02  # share of positions that explore to find new items
    seeds: int = 3  # number of simulations of each kind
    counted_searches: int = 80_000  # number of searches that the counters count


def main(config: ExplorationConfig) -> None:
    """Print all measurements."""
    _print_coverage(config)
    _print_finding(config)
    _print_counting(config)


def _print_coverage(config: ExplorationConfig) -> None:
    demo = DemoSearches.make(0, queries=60)
    result = coverage(
        demo, runs=config.runs, searches=config.logged_searches, share=config.logged_share
    )
    _say(
        f"off-policy estimates: true value {result.truth:.4f} clicks per search "
        f"(order of the shop: {result.logged:.4f}), {config.logged_searches:,} searches a log"
    )
    for name, covered in result.covered.items():
        width = result.width[name]
        _say(f"  {name}: {covered} of {result.runs} intervals have it, mean width {width:.4f}")


def _print_finding(config: ExplorationConfig) -> None:
    demo = DemoSearches.make(0, queries=config.queries)

    def run(method: Method | None, *, planted: bool = True) -> list[Finding]:
        return [
            find(
                demo,
                method,
                searches=config.searches,
                share=config.share,
                seed=seed,
                planted=planted,
            )
            for seed in range(config.seeds)
        ]

    plain, plain_without = run(None), run(None, planted=False)
    _say(f"new items: found {np.mean([f.found for f in plain]):.0%} without exploration")
    for method in Method:
        found, without = run(method), run(method, planted=False)
        _say(
            f"  {method}, share {config.share}: found {np.mean([f.found for f in found]):.0%}, "
            f"after {_interval(_ratio(found, plain))} of the impressions without exploration; "
            f"purchases {_interval(_change(found, plain), '+.2%')}, "
            f"without new items {_interval(_change(without, plain_without), '+.2%')}"
        )
    _say(f"  {config.searches * POSITIONS:,} impressions of each of {config.queries} queries")


def _ratio(runs: list[Finding], plain: list[Finding]) -> Interval:
    """Return the ratio of the mean impressions before an item is found, over the queries."""
    ours = np.mean([run.impressions for run in runs], axis=0)
    others = np.mean([run.impressions for run in plain], axis=0)
    ratio = float(ours.sum() / others.sum())
    # The delta method: each query's influence on the ratio.
    spread = bootstrap(ratio + (ours - ratio * others) / others.mean())
    return Interval(ratio, spread.low, spread.high, len(ours))


def _change(runs: list[Finding], plain: list[Finding]) -> Interval:
    """Return the relative change of the expected purchases."""
    pairs = zip(runs, plain, strict=True)
    return bootstrap(np.array([a.purchases / b.purchases - 1 for a, b in pairs]))


def _print_counting(config: ExplorationConfig) -> None:
    demo = DemoSearches.make(1, queries=20)
    found = wrong_pairs(demo, searches=config.counted_searches, seed=0)
    for name, wrong in found.items():
        _say(
            f"counters: {name} in the wrong order {_interval(wrong.corrected)} corrected, "
            f"{_interval(wrong.raw)} raw, difference {_interval(wrong.difference)}"
        )


def _interval(interval: Interval, form: str = ".3f") -> str:
    low, high = format(interval.low, form), format(interval.high, form)
    return f"{format(interval.mean, form)} [{low}, {high}]"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(ExplorationConfig, prog="python -m bench.quality.exploration"))
