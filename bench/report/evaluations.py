"""Tables of quality, from reports that `shortlist evaluate --json` wrote.

`python -m bench.report --save NAME=REPORT` keeps a report in `bench/evaluations/NAME.json`.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from base.atomic_files import write_text
from bench.harness import sources
from bench.harness.output import table

DIRECTORY = sources.ROOT / "bench" / "evaluations"
_METRICS = {
    "ndcg@10": "nDCG@10",
    "recall@100": "Recall@100",
    "mrr": "MRR",
    "ndcg@10_judged": "nDCG@10, judged-only",
}
# The table of a README has no judged-only column, these systems and this difference.
_SHORT_METRICS = ("ndcg@10", "recall@100", "mrr")
_SHORT_SYSTEMS = {
    "bm25": "bm25",
    "bm25_stemmed": "bm25_stemmed: the same with English stems",
    "dense": "dense: vectors alone",
    "lexical": "lexical: words alone",
    "recall": "recall: the first stage",
    "rerank": "rerank: both stages",
}
_SHORT_DIFFERENCES = (("rerank", "bm25_stemmed"),)

Report: TypeAlias = Mapping[str, Any]


def save(name: str, report: Path, commit: str, directory: Path = DIRECTORY) -> None:
    """Keep a report under a name, with the date of now and the evaluated commit."""
    conditions = {"date": datetime.date.today().isoformat(), "commit": commit}
    values = conditions | json.loads(report.read_text("utf-8"))
    write_text(directory / f"{name}.json", json.dumps(values, indent=1) + "\n")


def read(directory: Path = DIRECTORY) -> dict[str, Report]:
    """Return the kept reports by name."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in directory.glob("*.json")}


def whole(report: Report) -> str:
    """Return a table of all systems and of the differences between them."""
    differences = list(dict.fromkeys((d["a"], d["b"]) for d in report["differences"]))
    systems = {name: name for name in report["systems"]}
    return _table(report, systems, differences, tuple(_METRICS))


def short(report: Report) -> str:
    """Return a table of the main systems, for a README."""
    return _table(report, _SHORT_SYSTEMS, _SHORT_DIFFERENCES, _SHORT_METRICS)


def when(report: Report) -> str:
    """Return when a report was made, and of which commit."""
    return f"{report['queries']:,} queries, {report['date']} at commit {report['commit']}"


def _table(
    report: Report,
    systems: Mapping[str, str],
    differences: Sequence[tuple[str, str]],
    metrics: Sequence[str],
) -> str:
    rows = [
        [title, *(_cell(report["systems"][name].get(metric)) for metric in metrics)]
        for name, title in systems.items()
    ]
    found = {(d["a"], d["b"], d["metric"]): d for d in report["differences"]}
    for a, b in differences:
        cells = (_cell(found.get((a, b, metric)), "+") for metric in metrics)
        rows.append([f"{a} − {b}", *cells])
    return table(["system", *(_METRICS[metric] for metric in metrics)], rows)


def _cell(value: Mapping[str, float] | None, sign: str = "") -> str:
    if value is None:
        return ""
    mean, low, high = (
        f"{value[name]:{sign}.3f}".replace("-", "−") for name in ("mean", "low", "high")
    )
    return f"{mean} [{low}, {high}]"
