"""Rows of the report, as Markdown and as `bench/results.json`."""

import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.contest import Ratio
from bert.numerics import choose_numerics, product_rates

_PACKAGES = (
    "jax", "scann", "torch", "sentence-transformers", "transformers", "onnxruntime",
    "hnswlib", "faiss-cpu", "usearch", "lancedb", "numpy",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One comparison."""

    work: str  # the work
    against: str  # the other contestant
    ratio: Ratio  # our speed over theirs
    ours: str  # our figure, with its unit
    theirs: str  # their figure
    same_answers: bool | None  # whether both gave the same answers; None if not compared
    agreement: str  # how the answers were compared
    rounds: int  # rounds of the ratio


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """Describe the machine."""
    numerics = choose_numerics()
    return {
        "processor": _processor(),
        "topology": _topology(),
        "numerics": numerics.dtype,
        "product_gflops": {name: round(rate / 1e9) for name, rate in product_rates().items()},
    }


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    lines = [
        "| work | against | times as fast | ours | theirs | same answers |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        said = {True: "yes", False: "no", None: "not compared"}[row.same_answers]
        same = f"{said}: {row.agreement}"
        cells = (row.work, row.against, str(row.ratio), row.ours, row.theirs, same)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(path: Path, rows: Sequence[Row]) -> None:
    """Replace the rows of the same works in a results file.

    The file names one processor and one set of versions, so rows of others are dropped. Each row
    has the date of its measurement.
    """
    kept, here = [], machine()
    versions = {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES}
    if path.is_file():
        works, before = {row.work for row in rows}, json.loads(path.read_text())
        processor = before["machine"]["processor"]
        if processor == here["processor"] and before["versions"] == versions:
            kept = [row for row in before["rows"] if row["work"] not in works]
        else:
            say(f"{path} had rows of another processor or other versions; they are dropped")
    today = datetime.date.today().isoformat()
    found = {
        "machine": here,
        "versions": versions,
        "rows": kept + [asdict(row) | {"date": today} for row in rows],
    }
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _topology() -> str:
    """Return the numbers of processors and of physical cores."""
    directory = Path("/sys/devices/system/cpu")
    cores = {file.read_text() for file in directory.glob("cpu[0-9]*/topology/core_cpus_list")}
    return f"{os.cpu_count()} processors, threads of {len(cores) or 'unknown'} cores"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cores = Path("/proc/cpuinfo").read_text().count("processor\t")
            return f"{line.partition(':')[2].strip()}, {cores} cores"
    return platform.processor()
