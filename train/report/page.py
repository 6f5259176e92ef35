"""Write the report of a training run: data, curves, figures, decisions, and single queries."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from base.atomic_files import write_text
from catalog.dataset.reading import Dataset
from catalog.importing.quality import item_quality
from catalog.store import ItemStore
from search.bundle import Manifest
from train.evaluation.guard import lines_of
from train.evaluation.metrics import Interval
from train.evaluation.report import (
    METRIC_TITLES,
    JudgedQuery,
    Report,
    Run,
    make_report,
    ndcg_at_10,
)
from train.report.charts import line_chart
from train.report.html import bullets, document, paragraph, section, table

IMPORT_REPORT = "import-report.json"  # `shortlist import` writes it beside the tables
_QUERIES = 10  # number of shown wins, and of shown losses
_MODELS = {"towers": "Towers", "rerank": "Reranker", "people": "User tower"}  # steps with curves


@dataclass(frozen=True)
class DevRuns:
    """The rankings of the bundle for `dev` queries."""

    queries: Sequence[JudgedQuery]
    runs: Mapping[str, Run]


def write_page(
    path: Path,
    manifest: Manifest,
    dataset: Dataset,
    directory: Path,
    *,
    dev: DevRuns | None,
    test: Report | None,
) -> None:
    """Write the page of a run, atomically. It needs no other file, no network and no scripts.

    Args:
        path: The file to write.
        manifest: The manifest of the bundle.
        dataset: The dataset of the run.
        directory: The directory of the dataset.
        dev: The rankings of `dev` queries; None without such queries.
        test: The evaluation on `test`; None without `test` judgments.
    """
    sections = [
        paragraph(f"Bundle {manifest.bundle_id}, built {manifest.created}."),
        section("What was taken and what was left out", bullets(lines_of(manifest.reports))),
        _data(dataset, directory),
        section("Training", *_curves(manifest.reports)),
    ]
    if dev is not None:
        sections.append(_figures(make_report("dev", dev.queries, dev.runs)))
    if test is not None:
        sections.append(_figures(test))
    if dev is not None:
        sections.append(_single_queries(dev, ItemStore(dataset.items)))
    write_text(path, document(f"Training report: {dataset.info.name}", sections))


def _data(dataset: Dataset, directory: Path) -> str:
    """Describe the dataset: sizes, filled columns, and what looks wrong."""
    quality = item_quality(dataset.items)
    tables = {
        "items": dataset.items,
        "judgments": dataset.judgments,
        "events": dataset.events,
        "users": dataset.users,
    }
    sizes = [(name, len(rows)) for name, rows in tables.items() if rows is not None]
    filled = [(name, f"{share:.1%}") for name, share in quality["filled"].items()]
    attributes = sorted(quality["attributes"].items(), key=lambda pair: -pair[1])[:20]
    return section(
        "Data",
        table(("table", "rows"), sizes),
        table(("column of items", "items with a value"), filled),
        table(("attribute", "items with a value"), attributes),
        bullets([*dataset.warnings, *quality["warnings"], *_imported(directory)]),
    )


def _imported(directory: Path) -> Iterator[str]:
    """Yield what an import left out, and its problems; nothing if the file is another program's."""
    path = directory / IMPORT_REPORT
    if not path.is_file():
        return
    try:
        report = json.loads(path.read_text("utf-8"))
        left_out = [
            f"import left out: {entry['reason']} ({entry['rows']:,} rows)"
            for entry in report["left_out"]
        ]
        problems = [f"import: {problem}" for problem in report["problems"]]
    except (ValueError, LookupError, TypeError):
        return
    yield from left_out + problems


def _curves(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for step, title in _MODELS.items():
        report = reports.get(step, {})
        for name, what in (("losses", "loss"), ("devs", "nDCG@10 on dev")):
            if report.get(name):
                yield line_chart(f"{title}: {what}", report[name])


def _figures(report: Report) -> str:
    systems = [
        (name, *(_interval(of_system.get(metric), "") for metric in METRIC_TITLES))
        for name, of_system in report.systems.items()
    ]
    differences = [
        (
            f"{each.a} - {each.b}",
            METRIC_TITLES[each.metric],
            _interval(each.interval, "+"),
            each.interval.verdict,
        )
        for each in report.differences
    ]
    return section(
        f"Figures on {report.split} ({report.queries:,} queries)",
        table(("system", *METRIC_TITLES.values()), systems),
        table(("systems", "metric", "difference", "verdict"), differences),
        paragraph("Intervals are 95% bootstrap intervals over queries; differences are paired."),
    )


def _interval(interval: Interval | None, sign: str) -> str:
    if interval is None or not interval.queries:
        return ""
    low, high = f"{interval.low:{sign}.3f}", f"{interval.high:{sign}.3f}"
    return f"{interval.mean:{sign}.3f} [{low}, {high}]"


def _single_queries(dev: DevRuns, store: ItemStore) -> str:
    """Show the `dev` queries that the bundle ranks better and worse than a simpler system."""
    after = "rerank" if "rerank" in dev.runs else "recall"
    before = "recall" if after == "rerank" else "bm25_stemmed"
    values = {name: ndcg_at_10(dev.queries, dev.runs[name]) for name in (before, after)}
    difference = values[after] - values[before]
    order = np.argsort(-difference, kind="stable").tolist()
    titles = dict(zip(store.ids, store.text("title"), strict=True))

    def rows(numbers: Sequence[int]) -> Iterator[tuple[str, ...]]:
        for number in numbers:
            firsts = (dev.runs[name][number].item_ids[:1] for name in (before, after))
            yield (
                dev.queries[number].text,
                *(f"{values[name][number]:.3f}" for name in (before, after)),
                *((titles.get(ids[0]) or "") if len(ids) else "" for ids in firsts),
            )

    head = ("query", before, after, f"first of {before}", f"first of {after}")
    wins = [number for number in order if difference[number] > 0]
    losses = [number for number in reversed(order) if difference[number] < 0]
    return section(
        f"Single dev queries: {after} against {before}",
        paragraph(
            f"{after} is better for {len(wins):,} of {len(dev.queries):,} queries, and worse for "
            f"{len(losses):,}. The numbers are nDCG@10."
        ),
        paragraph("The largest wins:") if wins else "",
        table(head, rows(wins[:_QUERIES])),
        paragraph("The largest losses:") if losses else "",
        table(head, rows(losses[:_QUERIES])),
    )
