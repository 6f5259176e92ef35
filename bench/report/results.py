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

from bench.harness.contest import Ratio
from bert.numerics import choose_numerics, product_rates

_PACKAGES = (
    "jax", "scann", "torch", "sentence-transformers", "transformers", "onnxruntime",
    "hnswlib", "faiss-cpu", "usearch", "lancedb", "numpy",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One comparison of Shortlist with another contestant."""

    work: str  # the measured work, such as "rerank 50 pairs"
    against: str  # the other contestant
    ratio: Ratio  # our speed divided by theirs
    ours: str  # our figure, with its unit
    theirs: str  # their figure
    same_answers: bool | None  # whether both gave the same answers; None if not compared
    agreement: str  # how the answers were compared
    rounds: int  # number of timed rounds


def say(line: str) -> None:
    """Print a line and flush the output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """Return the processor, its numbers of cores and its speed at matrix products."""
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
        verdict = {True: "yes", False: "no", None: "not compared"}[row.same_answers]
        same = f"{verdict}: {row.agreement}"
        cells = (row.work, row.against, str(row.ratio), row.ours, row.theirs, same)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows to a results file; they replace earlier rows of the same work.

    The file holds results of one processor and one set of package versions, so rows of another
    processor or other versions are dropped. Each row has the date of its measurement.
    """
    old_rows, here = [], machine()
    versions = {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES}
    if path.is_file():
        works, before = {row.work for row in rows}, json.loads(path.read_text())
        processor = before["machine"]["processor"]
        if processor == here["processor"] and before["versions"] == versions:
            old_rows = [row for row in before["rows"] if row["work"] not in works]
        else:
            say(f"{path} had rows of another processor or other versions; these rows are dropped")
    today = datetime.date.today().isoformat()
    results = {
        "machine": here,
        "versions": versions,
        "rows": old_rows + [asdict(row) | {"date": today} for row in rows],
    }
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def _topology() -> str:
    """Return the numbers of logical processors and of physical cores."""
    directory = Path("/sys/devices/system/cpu")
    cores = {file.read_text() for file in directory.glob("cpu[0-9]*/topology/core_cpus_list")}
    return f"{os.cpu_count()} processors, threads of {len(cores) or 'unknown'} cores"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cores = Path("/proc/cpuinfo").read_text().count("processor\t")
            return f"{line.partition(':')[2].strip()}, {cores} cores"
    return platform.processor()
