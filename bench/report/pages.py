"""Fill marked places of the documentation with results.

A place starts with one of these comments, and ends with `<!-- /bench -->`:

- `<!-- bench:tools ROW -->`: a table of all tools of a row, and how the row was measured;
- `<!-- bench:summary PATTERN … -->`: a table of the rows that match a pattern;
- `<!-- bench:bullets PATTERN … -->`: the same rows as a list.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness.sources import ROOT
from bench.report import tables
from bench.report.results import row_of

_PLACE = re.compile(
    r"(?P<start><!-- bench:(?P<kind>\w+) (?P<rows>[^>]+?) -->\n).*?(?P<end><!-- /bench -->)",
    re.DOTALL,
)


def pages() -> list[Path]:
    """Return the pages of the documentation."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def filled(text: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of a page with all marked places filled.

    Raises:
        ValueError: a place has an unknown kind.
    """
    return _PLACE.sub(lambda place: place["start"] + _text(place, results) + place["end"], text)


def _text(place: re.Match[str], results: Mapping[str, Mapping[str, Any]]) -> str:
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
            raise ValueError(f"{place['start'].strip()}: {kind} is not tools, summary or bullets")


def _tools(saved: Mapping[str, Any]) -> str:
    row = row_of(saved)
    title = row.work[0].upper() + row.work[1:]
    return f"**{title}:**\n\n{tables.tools(row)}\n\n{tables.measured(saved)}\n\n"
