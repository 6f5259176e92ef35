"""Tables and lists of the results, for the console and the documentation."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from bench.harness.contest import Ratio
from bench.harness.output import table
from bench.harness.rows import Contestant, Row
from bench.report.results import row_of

_RATIO = "Shortlist's speed divided by the tool's speed"


def tools(row: Row) -> str:
    """Return a table of all tools of a row.

    Tools with the same answers come first. Then come tools with different answers.
    """
    others = [*row.others(same=True), *row.others(same=False)]
    searches = row.ours.bytes_per_item is not None
    header = ["tool", "speed", *(["time of a query", "size", "effort"] if searches else [])]
    cells = [
        [
            peer.tool,
            _speed(peer, row.unit),
            *(_search_cells(peer) if searches else []),
            _ratio(peer.times) if peer.times else "",
            _answers(peer),
        ]
        for peer in (row.ours, *others)
    ]
    return table([*header, _RATIO, "answers compared with the reference"], cells)


def summary(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table with one line per row: Shortlist, and the fastest tool with equal answers."""
    header = ["work", "processor", "Shortlist", "fastest tool with the same answers", _RATIO]
    lines = []
    for saved in results.values():
        row = row_of(saved)
        cells = [row.work, saved["processor"], f"Shortlist: {_figures(row.ours, row.unit)}"]
        if strongest := row.others(same=True)[:1]:
            [peer] = strongest
            assert peer.times is not None
            cells += [f"{peer.tool}: {_figures(peer, row.unit)}", _ratio(peer.times)]
        else:
            cells += ["no tool gives the same answers", ""]
        lines.append([*cells, _when(saved)])
    return table([*header, "measured"], lines)


def bullets(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a list with one line per row: the ratio to the fastest tool with equal answers."""
    lines = []
    for saved in results.values():
        row = row_of(saved)
        for peer in row.others(same=True)[:1]:
            assert peer.times is not None
            lines.append(f"- {row.work}: {peer.times} as {peer.tool} ({_when(saved)})")
    return "\n".join(lines)


def measured(saved: Mapping[str, Any]) -> str:
    """Return a paragraph on the conditions of a measurement."""
    row = row_of(saved)
    versions = ", ".join(f"{name} {version}" for name, version in saved["versions"].items())
    return (
        f"Measured on {saved['processor']} in {row.rounds} rounds ({_when(saved)}). Shortlist "
        f"computed in {saved['numerics']}. Versions: {versions}."
    )


def matching(
    results: Mapping[str, Mapping[str, Any]], patterns: list[str]
) -> dict[str, Mapping[str, Any]]:
    """Return the saved rows whose names match one of the patterns."""
    return {
        name: saved
        for name, saved in results.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _search_cells(peer: Contestant) -> list[str]:
    return [_times(peer), _size(peer), peer.setting]


def _figures(peer: Contestant, unit: str) -> str:
    return ", ".join(filter(None, (_speed(peer, unit), _times(peer), _size(peer))))


def _times(peer: Contestant) -> str:
    return "" if peer.p50_ms is None else f"p50 {peer.p50_ms:.3f} ms, p99 {peer.p99_ms:.3f} ms"


def _size(peer: Contestant) -> str:
    return "" if peer.bytes_per_item is None else f"{peer.bytes_per_item:,.0f} bytes per item"


def _speed(peer: Contestant, unit: str) -> str:
    return f"{peer.speed:,.{0 if peer.speed >= 1000 else 1}f} {unit}/s"


def _ratio(times: Ratio) -> str:
    return f"Shortlist is {times}"


def _answers(peer: Contestant) -> str:
    verdict = {True: "same answers: ", False: "different answers: ", None: ""}[peer.same_answers]
    return verdict + peer.answers


def _when(saved: Mapping[str, Any]) -> str:
    when = f"{saved['date']} at commit {saved['commit']}"
    return f"{when}; {note}" if (note := saved["row"]["note"]) else when
