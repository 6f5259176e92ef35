"""Collecting everything that is wrong with a dataset, said so that a person can find it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

MAX_EXAMPLES = 4  # further rows named beside the first one that has a problem
MAX_VALUE_CHARACTERS = 60  # of a value that is quoted in a message


@dataclass(frozen=True)
class Source:
    """Where a table's rows came from, in the numbers a person would look them up by."""

    file: str  # file name
    unit: str  # "line" in text files (the first line of the file is 1), "row" in parquet (from 1)
    numbers: Int[np.ndarray, " rows"]  # row index -> that number

    def where(self, row: int) -> str:
        """E.g. `items.csv, line 7`."""
        return f"{self.file}, {self.unit} {self.numbers[row]}"


class Problems:
    """The errors and warnings found so far, each a sentence or two."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, text: str) -> None:
        """Adds an error that concerns no particular row."""
        self.errors.append(text)

    def warning(self, text: str) -> None:
        """Adds a warning."""
        self.warnings.append(text)

    def rows(
        self,
        source: Source,
        column: str | None,
        rows: Int[np.ndarray, " bad"],
        say: Callable[[int], str],
        fix: str,
    ) -> None:
        """Adds one error for all rows with the same problem, or nothing when there are none.

        Args:
            source: where the rows came from.
            column: the column at fault, or None for the row as a whole.
            rows: indices of the rows at fault, rising.
            say: what is wrong with the row of this index, used for the first of them.
            fix: what to do about it.
        """
        if not len(rows):
            return
        first = int(rows[0])
        at = "" if column is None else f", column {column}"
        text = f"{source.where(first)}{at}: {say(first)}; {fix}"
        if len(rows) > 1:
            others = [str(source.numbers[row]) for row in rows[1 : 1 + MAX_EXAMPLES]]
            more = ", …" if len(rows) > 1 + MAX_EXAMPLES else ""
            text += f" ({len(rows):,} {source.unit}s in all, also {', '.join(others)}{more})"
        self.error(text)


def quote(value: object) -> str:
    """A value as a message shows it: `repr`, cut to a readable length."""
    # A cut before repr keeps a megabyte of text from being escaped for nothing.
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
        return repr(value[:MAX_VALUE_CHARACTERS]) + "…"
    shown = repr(value)
    return shown if len(shown) <= MAX_VALUE_CHARACTERS else shown[:MAX_VALUE_CHARACTERS] + "…"


def count(number: int, noun: str) -> str:
    """E.g. `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
