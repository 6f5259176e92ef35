"""The report of an evaluation: metrics of every system with intervals, and their differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from rich.table import Table

from base.errors import InputError
from catalog.dataset.reading import Dataset
from train.evaluation.metrics import (
    MIN_QUERIES,
    Interval,
    bootstrap,
    ndcg,
    recall,
    reciprocal_rank,
)
from train.evaluation.runs import Ranking

DEPTH = 100  # ranks of a full-corpus run that are evaluated
JUDGED = "_judged"  # suffix of the name of a judged-only run
RANDOM = "random"
SERVED = "served"  # what the server answers: with collapsed groups, and items out of stock last
# Number of random orders averaged per query. A single order would add noise of ±0.002 to the mean.
_RANDOM_ORDERS = 20
_RANDOM_SEED = 0

# Pairs of systems to compare, on every metric that both systems have.
_PAIRS = (
    ("bm25_stemmed", "bm25"),
    ("dense", "bm25"),
    ("dense", "bm25_stemmed"),
    ("dense", "lexical"),
    ("recall", "dense"),
    ("recall", "lexical"),
    ("recall", "bm25_stemmed"),
    ("rerank", "bm25"),
    ("rerank", "bm25_stemmed"),
    ("rerank", "dense"),
    ("rerank", "recall"),
    (SERVED, "rerank"),
    ("dense", RANDOM),
    ("rerank", RANDOM),
)
METRIC_TITLES = {
    "ndcg@10": "nDCG@10",
    "recall@100": "Recall@100",
    "mrr": "MRR",
    "ndcg@10_judged": "nDCG@10 judged-only",
}

# One run: the ranking of each query, in the order of the judged queries.
Run = Sequence[Ranking]


@dataclass(frozen=True)
class JudgedQuery:
    """One query with its judgments.

    Attributes:
        query_id: Id of the query in run files.
        text: Text of the query.
        gains: Gain of each judged item: its grade minus `grade_min`.
        relevant: Ids of the judged items that count as relevant.
    """

    query_id: str
    text: str
    gains: Mapping[str, float]
    relevant: frozenset[str]


@dataclass(frozen=True)
class Difference:
    """Metric of system `a` minus metric of system `b`, paired by query."""

    a: str
    b: str
    metric: str
    interval: Interval


@dataclass(frozen=True)
class Report:
    """Metrics of every system, and the differences between systems.

    Attributes:
        split: The evaluated split.
        queries: Number of queries in the split.
        without_relevant: Number of queries with no relevant item. MRR and Recall@100 leave these
            queries out.
        without_gain: Number of queries whose judged items all have gain 0. The nDCG of these
            queries is 0.
        systems: Metrics of each system by name.
        differences: All differences between two systems, by pair of systems and metric.
    """

    split: str
    queries: int
    without_relevant: int
    without_gain: int
    systems: Mapping[str, Mapping[str, Interval]]
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values; a metric without queries is null."""
        return {
            "split": self.split,
            "queries": self.queries,
            "queries_without_relevant": self.without_relevant,
            "queries_without_gain": self.without_gain,
            "systems": {
                system: {metric: plain(interval) for metric, interval in metrics.items()}
                for system, metrics in self.systems.items()
            },
            "differences": [
                {"a": difference.a, "b": difference.b, "metric": difference.metric}
                | plain(difference.interval)
                | {"verdict": difference.interval.verdict}
                for difference in self.differences
            ],
        }


def judged_queries(dataset: Dataset, split: str) -> list[JudgedQuery]:
    """Return the judged queries of one split, in the order of the judgments file.

    Raises:
        InputError: the split has no judgments.
    """
    grades: dict[str, dict[str, float]] = {}
    texts: dict[str, str] = {}
    if dataset.judgments is not None:
        columns = ("query_id", "query", "item_id", "grade", "split")
        values = [dataset.judgments[column].to_pylist() for column in columns]
        for query_id, text, item_id, grade, row_split in zip(*values, strict=True):
            if row_split == split:
                texts.setdefault(query_id, text)
                grades.setdefault(query_id, {})[item_id] = grade
    if not grades:
        raise InputError(
            f"{dataset.info.name}: no judgments in the split {split!r} to evaluate on; add "
            "judgments or name another split with --split"
        )
    return [
        JudgedQuery(
            query_id,
            texts[query_id],
            {item_id: grade - dataset.info.grade_min for item_id, grade in judged.items()},
            frozenset(i for i, grade in judged.items() if grade >= dataset.info.relevant_from),
        )
        for query_id, judged in grades.items()
    ]


def make_report(split: str, queries: Sequence[JudgedQuery], runs: Mapping[str, Run]) -> Report:
    """Compute the metrics of runs, and of random orders of the judged items.

    Args:
        split: The name of the split.
        queries: The judged queries of the split.
        runs: Rankings of each query, by name of the run. A run with the name of a system ranks the
            whole catalogue. A run with the suffix `_judged` ranks exactly the judged items.
    """
    values: dict[str, dict[str, Float64[np.ndarray, "queries"]]] = {}
    for name, run in runs.items():
        system = name.removesuffix(JUDGED)
        metrics = _judged_only(queries, run) if name.endswith(JUDGED) else full_corpus(queries, run)
        values.setdefault(system, {}).update(metrics)
    values[RANDOM] = _random_order(queries)
    return Report(
        split=split,
        queries=len(queries),
        without_relevant=sum(not query.relevant for query in queries),
        without_gain=sum(not any(query.gains.values()) for query in queries),
        systems={
            system: {name: bootstrap(metrics[name]) for name in METRIC_TITLES if name in metrics}
            for system, metrics in values.items()
        },
        differences=tuple(
            Difference(a, b, metric, bootstrap(values[a][metric] - values[b][metric]))
            for a, b in _PAIRS
            if a in values and b in values
            for metric in METRIC_TITLES
            if metric in values[a] and metric in values[b]
        ),
    )


def metrics_table(report: Report) -> Table:
    """Format the metrics of every system with their intervals, for a terminal."""
    evaluated = report.queries - report.without_relevant
    table = Table(
        title=f"{report.split}: {report.queries:,} queries",
        caption=(
            f"95% intervals. MRR and Recall@100 over {evaluated:,} queries with a relevant item "
            f"({report.without_relevant:,} left out). {report.without_gain:,} queries have no item "
            f"with a gain, and their nDCG is 0. Only {SERVED} collapses groups and puts items out "
            "of stock last."
        ),
    )
    table.add_column("system", no_wrap=True)
    for title in METRIC_TITLES.values():
        table.add_column(title, justify="right")
    for system, metrics in report.systems.items():
        cells = (_cell(metrics[name], "") if name in metrics else "" for name in METRIC_TITLES)
        table.add_row(system, *cells)
    return table


def differences_table(report: Report) -> Table:
    """Format the paired differences between systems, for a terminal."""
    table = Table(
        title=f"{report.split}: differences",
        caption=(
            "Better: the 95% interval is above zero. Too few to tell: fewer than "
            f"{MIN_QUERIES} queries."
        ),
    )
    for column in ("systems", "metric"):
        table.add_column(column, no_wrap=True)
    table.add_column("difference", justify="right")
    table.add_column("verdict", no_wrap=True)
    for difference in report.differences:
        table.add_row(
            f"{difference.a} - {difference.b}",
            METRIC_TITLES[difference.metric],
            _cell(difference.interval, "+"),
            difference.interval.verdict,
        )
    return table


def full_corpus(
    queries: Sequence[JudgedQuery], run: Run
) -> dict[str, Float64[np.ndarray, "queries"]]:
    """Compute the metrics of a run over the whole catalogue, one value per query."""
    relevant = np.zeros((len(queries), DEPTH), np.bool_)
    for row, (query, ranking) in enumerate(zip(queries, run, strict=True)):
        ids = ranking.item_ids[:DEPTH]
        relevant[row, : len(ids)] = [item_id in query.relevant for item_id in ids]
    total = np.array([len(query.relevant) for query in queries])
    return {
        "ndcg@10": ndcg_at_10(queries, run),
        "recall@100": recall(relevant, total, 100),
        "mrr": reciprocal_rank(relevant, total),
        "mrr@10": reciprocal_rank(relevant[:, :10], total),
    }


def _judged_only(
    queries: Sequence[JudgedQuery], run: Run
) -> dict[str, Float64[np.ndarray, "queries"]]:
    for query, ranking in zip(queries, run, strict=True):
        if sorted(ranking.item_ids) != sorted(query.gains):
            raise ValueError(f"{query.query_id}: a judged-only run ranks exactly the judged items")
    return {"ndcg@10_judged": ndcg_at_10(queries, run)}


def ndcg_at_10(queries: Sequence[JudgedQuery], run: Run) -> Float64[np.ndarray, "queries"]:
    """Compute the nDCG@10 of each query of a run."""
    gains = np.zeros((len(queries), 10))
    for row, (query, ranking) in enumerate(zip(queries, run, strict=True)):
        ids = ranking.item_ids[:10]
        gains[row, : len(ids)] = [query.gains.get(item_id, 0.0) for item_id in ids]
    return ndcg(gains, _judged_gains(queries), 10)


def _random_order(
    queries: Sequence[JudgedQuery],
) -> dict[str, Float64[np.ndarray, "queries"]]:
    judged = _judged_gains(queries)
    counts = np.array([[len(query.gains)] for query in queries])
    random = np.random.default_rng(_RANDOM_SEED)
    total = np.zeros(len(queries))
    for _ in range(_RANDOM_ORDERS):
        # Padding sorts after all items of its row.
        keys = random.random(judged.shape) + (np.arange(judged.shape[1]) >= counts)
        order = np.argsort(keys, axis=-1)
        total += ndcg(np.take_along_axis(judged, order, axis=-1), judged, 10)
    return {"ndcg@10_judged": total / _RANDOM_ORDERS}


def _judged_gains(queries: Sequence[JudgedQuery]) -> Float64[np.ndarray, "queries judged"]:
    gains = np.zeros((len(queries), max(len(query.gains) for query in queries)))
    for row, query in enumerate(queries):
        gains[row, : len(query.gains)] = list(query.gains.values())
    return gains


def _cell(interval: Interval, sign: str) -> str:
    if not interval.queries:
        return "no query"
    low, high = (f"{end:{sign}.3f}" for end in (interval.low, interval.high))
    return f"{interval.mean:{sign}.3f} [{low}, {high}]"


def plain(interval: Interval) -> dict[str, float | int | None]:
    """Return an interval as JSON values, with None instead of NaN."""
    ends = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {
        **{name: None if math.isnan(value) else value for name, value in ends.items()},
        "queries": interval.queries,
    }
