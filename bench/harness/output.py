"""Output of the benchmarks."""

import sys
from collections.abc import Iterable, Sequence


def say(line: str) -> None:
    """Print a line and flush the output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
