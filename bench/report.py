"""Rows of the report, as Markdown and as `bench/results.json`."""

import json
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

    work: str  # what was done
    against: str  # by whom else
    ratio: Ratio  # our speed over theirs
    ours: str  # our figure, with its unit
    theirs: str  # their figure
    same_answers: bool | None  # whether both gave the same answers; None where that has no meaning
    agreement: str  # how that was measured
    rounds: int  # that the ratio is taken over


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    numerics = choose_numerics()
    return {
        "processor": _processor(),
        "numerics": numerics.dtype,
        "product_gflops": {name: round(rate / 1e9) for name, rate in product_rates().items()},
    }


def markdown(rows: Sequence[Row]) -> str:
    """A table."""
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
    """Replace the rows of the same works in a results file, and all rows of another processor."""
    kept, here = [], machine()
    if path.is_file():
        works, before = {row.work for row in rows}, json.loads(path.read_text())
        if before["machine"]["processor"] == here["processor"]:
            kept = [row for row in before["rows"] if row["work"] not in works]
    found = {
        "machine": here,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
        "rows": kept + [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cores = Path("/proc/cpuinfo").read_text().count("processor\t")
            return f"{line.partition(':')[2].strip()}, {cores} cores"
    return platform.processor()
