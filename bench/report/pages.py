"""Fill marked places of the documentation with results.

A place starts with one of these comments, and ends with `<!-- /bench -->`:

- `<!-- bench:tools ROW -->`: a table of all tools of a row, and how the row was measured;
- `<!-- bench:summary PATTERN … -->`: a table of the rows that match a pattern;
- `<!-- bench:bullets PATTERN … -->`: the same rows as a list;
- `<!-- bench:quality NAME -->`: a table of an evaluation (see `evaluations.py`);
- `<!-- bench:quality-short NAME -->`: the main rows of this table.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.harness.sources import ROOT
from bench.report import evaluations, tables
from bench.report.results import row_of

_PLACE = re.compile(
    r"(?P<start><!-- bench:(?P<kind>[\w-]+) (?P<rows>[^>]+?) -->\n).*?(?P<end><!-- /bench -->)",
    re.DOTALL,
)


def pages() -> list[Path]:
    """Return the pages of the documentation."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def filled(
    text: str,
    results: Mapping[str, Mapping[str, Any]],
    reports: Mapping[str, evaluations.Report] = MappingProxyType({}),
) -> str:
    """Return the text of a page with all marked places filled.

    Raises:
        ValueError: a place has an unknown kind, or names an evaluation that is not kept.
    """

    def replaced(place: re.Match[str]) -> str:
        is_quality = place["kind"].startswith("quality")
        content = _quality(place, reports) if is_quality else _speed(place, results)
        return place["start"] + content + place["end"]

    return _PLACE.sub(replaced, text)


def _quality(place: re.Match[str], reports: Mapping[str, evaluations.Report]) -> str:
    if (report := reports.get(place["rows"])) is None:
        raise ValueError(f"{place['start'].strip()}: no such evaluation is kept")
    if place["kind"] == "quality-short":
        return f"{evaluations.short(report)}\n"
    return f"\n{evaluations.whole(report)}\n\nMeasured on {evaluations.when(report)}.\n\n"


def _speed(place: re.Match[str], results: Mapping[str, Mapping[str, Any]]) -> str:
    patterns = place["rows"].split()
    rows = tables.matching(results, patterns)
    if not rows:
        return f"\nNot measured yet: `python -m bench --only {shlex.join(patterns)}`.\n\n"
    match place["kind"]:
        case "tools":
            return "\n" + "".join(map(_tools, rows.values()))
        case "summary":
            return f"\n{tables.summary(rows)}\n\n"
        case "bullets":
            return f"{tables.bullets(rows)}\n"
        case kind:
            raise ValueError(f"{place['start'].strip()}: {kind} is not a kind of place")


def _tools(saved: Mapping[str, Any]) -> str:
    row = row_of(saved)
    title = row.work[0].upper() + row.work[1:]
    return f"**{title}:**\n\n{tables.tools(row)}\n\n{tables.measured(saved)}\n\n"
