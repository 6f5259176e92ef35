"""The report of an evaluation of recommendations: intervals of systems and of their differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from rich.table import Table

from train.evaluation.metrics import Interval, bootstrap
from train.evaluation.recommend.metrics import METRICS

_DIGITS = 4


@dataclass(frozen=True)
class Measured:
    """The metrics of one system in one case.

    Attributes:
        user_ids: Id of each user.
        metrics: One value per user by the name of the metric; NaN leaves the user out.
        coverage: Share of the catalogue in the first ranks of any user.
    """

    user_ids: Sequence[str | None]
    metrics: Mapping[str, Float64[np.ndarray, " users"]]
    coverage: float


@dataclass(frozen=True)
class CaseReport:
    """The systems of one kind of case, pooled over cuts and seeds.

    Attributes:
        systems: Intervals by system and metric.
        differences: Intervals of the paired differences from `reference`, by system and metric.
        coverage: Mean coverage of each system.
        reference: The system that all others are compared with.
    """

    systems: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Mapping[str, Interval]]
    coverage: Mapping[str, float]
    reference: str

    @classmethod
    def of(cls, runs: Mapping[str, Sequence[Measured]], reference: str) -> "CaseReport":
        """Pool the runs of each system; the runs of all systems have the same users.

        A user's value is the mean over the cuts and seeds in which the user has one, and the
        bootstrap draws users. So repeated users and seeds do not narrow the intervals.
        """
        values = {
            name: {metric: pooled(measured, metric) for metric in measured[0].metrics}
            for name, measured in runs.items()
        }
        return cls(
            {n: {m: bootstrap(v) for m, v in metrics.items()} for n, metrics in values.items()},
            {
                name: {m: bootstrap(v - values[reference][m]) for m, v in metrics.items()}
                for name, metrics in values.items()
                if name != reference
            },
            {name: float(np.mean([m.coverage for m in runs[name]])) for name in runs},
            reference,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "systems": {
                name: {metric: _plain(interval) for metric, interval in metrics.items()}
                | {"coverage@20": self.coverage[name]}
                for name, metrics in self.systems.items()
            },
            "differences": [
                {"a": name, "b": self.reference, "metric": metric, **_plain(interval)}
                for name, metrics in self.differences.items()
                for metric, interval in metrics.items()
            ],
        }

    def table(self, title: str) -> Table:
        """Format the metrics for a terminal; * marks a difference whose interval excludes 0."""
        table = Table(
            title=title,
            caption=f"95% intervals. * differs from {self.reference}: the paired interval of the "
            "difference excludes 0.",
        )
        table.add_column("system", no_wrap=True)
        for metric in METRICS:
            table.add_column(metric, justify="right")
        table.add_column("coverage", justify="right")
        table.add_column("novelty", justify="right")
        for name, metrics in self.systems.items():
            cells = [self._cell(name, metric) for metric in METRICS]
            novelty = f"{metrics['novelty'].mean:.1f}"
            table.add_row(name, *cells, f"{self.coverage[name]:.3f}", novelty)
        return table

    def _cell(self, name: str, metric: str) -> str:
        interval = self.systems[name][metric]
        mark = ""
        if name != self.reference:
            difference = self.differences[name][metric]
            mark = "*" if difference.low > 0 or difference.high < 0 else ""
        return f"{interval.mean:.4f} [{interval.low:.3f}, {interval.high:.3f}]{mark}"


def pooled(measured: Sequence[Measured], metric: str) -> Float64[np.ndarray, " users"]:
    """Return each user's mean over the runs in which the user has a value, in order of ids."""
    ids = np.concatenate([np.array(run.user_ids, dtype=object).astype(str) for run in measured])
    values = np.concatenate([run.metrics[metric] for run in measured])
    unique, user = np.unique(ids, return_inverse=True)
    known = ~np.isnan(values)
    sums = np.bincount(user[known], values[known], len(unique))
    counts = np.bincount(user[known], minlength=len(unique))
    means = np.full(len(unique), np.nan)
    return np.asarray(np.divide(sums, counts, out=means, where=counts > 0))


def _plain(interval: Interval) -> dict[str, float | int | None]:
    ends = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    rounded = {n: None if math.isnan(v) else round(v, _DIGITS) for n, v in ends.items()}
    return {**rounded, "users": interval.queries}
