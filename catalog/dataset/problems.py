"""Collect the errors and warnings of a dataset, with the place of each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

MAX_EXAMPLES = 4  # rows named in a message beside the first
MAX_VALUE_CHARACTERS = 60  # the most characters of a value that a message quotes


@dataclass(frozen=True)
class Source:
    """The file of a table, and the line or row number of each of its rows."""

    file: str  # file name
    unit: str  # "line" in text files, "row" in parquet files
    numbers: Int[np.ndarray, " rows"]  # row index -> line or row number, from 1

    def where(self, row: int) -> str:
        """Return the place of a row, such as `items.csv, line 7`."""
        return f"{self.file}, {self.unit} {self.numbers[row]}"


class Problems:
    """The errors and warnings so far."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, text: str) -> None:
        """Add an error that concerns no particular row."""
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
        """Add one error for all rows with the same problem; none if there are no rows.

        Args:
            source: The file of the rows.
            column: The column at fault; None for the row as a whole.
            rows: Ascending indices of the rows at fault.
            say: Describes the problem of a row, given its index. Called for the first row.
            fix: How to correct the problem.
        """
        if not len(rows):
            return
        first = int(rows[0])
        in_column = "" if column is None else f", column {column}"
        text = f"{source.where(first)}{in_column}: {say(first)}; {fix}"
        if len(rows) > 1:
            others = [str(source.numbers[row]) for row in rows[1 : 1 + MAX_EXAMPLES]]
            more = ", …" if len(rows) > 1 + MAX_EXAMPLES else ""
            text += f" ({len(rows):,} {source.unit}s in all, also {', '.join(others)}{more})"
        self.error(text)


def quote(value: object) -> str:
    """Return `repr` of a value, cut to MAX_VALUE_CHARACTERS."""
    # Cut first, so that repr need not escape a megabyte of text.
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
        return repr(value[:MAX_VALUE_CHARACTERS]) + "…"
    shown = repr(value)
    return shown if len(shown) <= MAX_VALUE_CHARACTERS else shown[:MAX_VALUE_CHARACTERS] + "…"


def count(number: int, noun: str) -> str:
    """Return a count with its noun, such as `1 row` or `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
