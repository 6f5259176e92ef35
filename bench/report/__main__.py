"""Compare the marked places of the documentation with results.json, or fill them.

    python -m bench.report
    python -m bench.report --write
    python -m bench.report --write --save homedepot=out/homedepot/evaluation.json

The last command first keeps a report of `shortlist evaluate --json` for the tables of quality.
Without `--write`, the program lists the pages that differ from results.json; if there are any, its
exit code is 1. `bench/report/pages.py` describes the marked places.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from bench.harness import sources
from bench.harness.output import say
from bench.report import evaluations, pages, results


@dataclass(frozen=True)
class ReportConfig:
    """Options of `python -m bench.report`."""

    write: bool = False  # write the pages; otherwise only compare them
    save: tuple[str, ...] = ()  # reports of evaluations to keep, each as NAME=FILE
    commit: str = ""  # the commit that these reports evaluated; empty: the current commit
    results: Path = results.FILE  # the file of the results


def main(config: ReportConfig) -> int:
    """Compare or write the pages; return the exit code."""
    for name, _, report in (pair.partition("=") for pair in config.save):
        evaluations.save(name, Path(report), config.commit or sources.commit([]))
    measured, reports, differing = results.read(config.results), evaluations.read(), []
    for page in pages.pages():
        text = page.read_text("utf-8")
        filled = pages.filled(text, measured, reports)
        if filled != text:
            differing.append(page)
            if config.write:
                page.write_text(filled, "utf-8")
            say(f"{page}: {'written' if config.write else 'differs; --write fills it'}")
    return int(bool(differing) and not config.write)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(ReportConfig, prog="python -m bench.report")))
