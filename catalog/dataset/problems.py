"""Collect the errors and warnings of a dataset, each with its file and line or row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

MAX_EXAMPLES = 4  # maximum number of rows that a message names besides the first row
MAX_PROBLEMS_SHOWN = 30  # maximum number of problems in the message of an error
MAX_VALUE_CHARACTERS = 60  # maximum number of characters of a value in a message


@dataclass(frozen=True)
class Source:
    """The file of a table, and the line or row number in the file for each row."""

    file: str  # file name
    unit: str  # "line" in text files, "row" in parquet files
    numbers: Int[np.ndarray, " rows"]  # row index -> line or row number, from 1
    # If the table is a directory of files: each file's name, and the index of its first row.
    parts: tuple[tuple[str, int], ...] = ()

    def where(self, row: int) -> str:
        """Return the file and line of a row, such as `items.csv, line 7`."""
        return f"{self._path(row)}, {self.unit} {self.numbers[row]}"

    def place(self, row: int) -> str:
        """Return the place of a row within its table, such as `line 7`."""
        within = f"{self._path(row)}, " if self.parts else ""
        return f"{within}{self.unit} {self.numbers[row]}"

    def _path(self, row: int) -> str:
        names = [name for name, first in self.parts if first <= row]
        return f"{self.file}/{names[-1]}" if names else self.file


class Problems:
    """The errors and warnings found so far."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, text: str) -> None:
        """Add an error that is not about particular rows."""
        self.errors.append(text)

    def warning(self, text: str) -> None:
        """Add a warning."""
        self.warnings.append(text)

    def rows(
        self,
        source: Source,
        column: str | None,
        rows: Int[np.ndarray, " bad"],
        say: Callable[[int], str],
        fix: str,
    ) -> None:
        """Add one error for all rows with the same problem; do nothing if there are no rows.

        Args:
            source: The file of the rows.
            column: The column with the problem; None if the whole row has it.
            rows: Ascending indices of the rows with the problem.
            say: Returns the problem of a row, given the row's index. Called for the first row.
            fix: How to correct the problem.
        """
        if not len(rows):
            return
        first = int(rows[0])
        in_column = "" if column is None else f", column {column}"
        text = f"{source.where(first)}{in_column}: {say(first)}; {fix}"
        if len(rows) > 1:
            others = [source.place(int(row)) for row in rows[1 : 1 + MAX_EXAMPLES]]
            if not source.parts:
                others = [place.removeprefix(f"{source.unit} ") for place in others]
            more = ", …" if len(rows) > 1 + MAX_EXAMPLES else ""
            text += f" ({len(rows):,} {source.unit}s in all, also {', '.join(others)}{more})"
        self.error(text)


def listed(subject: str, problems: Sequence[str]) -> str:
    """Return the message of an error: the number of problems of a subject, then a line for each.

    Args:
        subject: What has the problems, such as `dataset my-shop`.
        problems: Each text names the file, row and column, and says what to do.
    """
    lines = [f"  - {problem}" for problem in problems[:MAX_PROBLEMS_SHOWN]]
    if len(problems) > MAX_PROBLEMS_SHOWN:
        lines.append(f"  - and {count(len(problems) - MAX_PROBLEMS_SHOWN, 'more problem')}")
    counted = "lines and rows are counted from 1, a csv's header is line 1"
    return "\n".join([f"{subject}: {count(len(problems), 'problem')} ({counted})", *lines])


def quote(value: object) -> str:
    """Return `repr` of a value, cut to MAX_VALUE_CHARACTERS."""
    # Cut before `repr`, so that `repr` does not escape a megabyte of text.
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
        return repr(value[:MAX_VALUE_CHARACTERS]) + "…"
    shown = repr(value)
    return shown if len(shown) <= MAX_VALUE_CHARACTERS else shown[:MAX_VALUE_CHARACTERS] + "…"


def count(number: int, noun: str) -> str:
    """Return a count with its noun, such as `1 row` or `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
