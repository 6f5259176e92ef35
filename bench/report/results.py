"""The file `bench/results.json`: measured rows, and the conditions of each measurement."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from base.atomic_files import write_text
from bench.harness import sources
from bench.harness.contest import Ratio
from bench.harness.machine import machine, versions
from bench.harness.rows import Contestant, Measurement, Row, Sizes

FILE = sources.ROOT / "bench" / "results.json"
# Conditions that must be the same for a saved row to be current.
_DECISIVE = ("digest", "processor", "numerics", "versions", "sizes")


def conditions(measurement: Measurement, sizes: Sizes) -> dict[str, Any]:
    """Return the conditions of a measurement that starts now."""
    about_machine = machine()
    return {
        "date": datetime.date.today().isoformat(),
        "commit": sources.commit(sources.files(measurement.module)),
        "digest": sources.digest(measurement.module),
        "processor": about_machine.pop("processor"),
        "numerics": about_machine.pop("numerics"),
        "machine": about_machine,
        "versions": versions(measurement.packages),
        "sizes": asdict(sizes),
    }


def is_current(saved: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a saved row was measured under the conditions of now."""
    return bool(saved) and all(saved[name] == now[name] for name in _DECISIVE)


def save(
    path: Path, order: Sequence[str], name: str, row: Row, conditions: Mapping[str, Any]
) -> None:
    """Write a row to the results file; it replaces an earlier row of the same name.

    Args:
        path: The results file.
        order: The names of all rows, in the order of the file; other saved rows are dropped.
        name: The name of the row.
        row: The row.
        conditions: The conditions of its measurement.
    """
    saved = {**read(path), name: {**conditions, "row": asdict(row)}}
    ordered = {name: saved[name] for name in order if name in saved}
    write_text(path, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def read(path: Path = FILE) -> dict[str, dict[str, Any]]:
    """Return the saved rows with the conditions of their measurements, by name."""
    saved: dict[str, dict[str, Any]] = {}
    if path.is_file():
        saved = json.loads(path.read_text("utf-8"))
    return saved


def row_of(saved: Mapping[str, Any]) -> Row:
    """Return the row of an entry of the results file."""
    contestants = (
        Contestant(**{**values, "times": values["times"] and Ratio(**values["times"])})
        for values in saved["row"]["contestants"]
    )
    return Row(**{**saved["row"], "contestants": tuple(contestants)})
