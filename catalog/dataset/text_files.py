"""Read csv and jsonl files in batches of rows, with the first line of each row."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

_BATCH_ROWS = 65_536  # rows held as Python objects at a time
_BLANK = " \t\r\n"


@dataclass(frozen=True)
class Batch:
    """Rows of a text file, as strings or decoded JSON values."""

    names: Sequence[str]  # the csv's header, or all keys of these jsonl rows
    columns: dict[str, list[Any]]  # a value per row, for the names that are read
    lines: list[int]  # the first line of each row, from 1
    broken: list[tuple[int, str]]  # lines that are not a row, and why


def csv_batches(path: Path) -> Iterator[Batch]:
    """Read a csv file whose first line names the columns.

    Args:
        path: The file, UTF-8 with or without a byte order mark.

    Yields:
        At least one batch, which may have no rows. Blank lines are skipped.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
        csv.Error: quotes are unbalanced, so the rest cannot be read; the message names the line.
    """
    with _open_text(path) as handle:
        reader = csv.reader(handle, strict=True)
        try:
            names = next(reader, [])
            rows = _csv_rows(reader)
            while True:
                chunk = list(islice(rows, _BATCH_ROWS))
                yield _csv_batch(names, chunk)
                if len(chunk) < _BATCH_ROWS:
                    return
        except csv.Error as error:
            raise csv.Error(f"line {reader.line_num}: {error}") from error


def _csv_rows(reader: Any) -> Iterator[tuple[int, list[str]]]:
    line = reader.line_num + 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1  # a quoted cell may span lines


def _csv_batch(names: list[str], chunk: list[tuple[int, list[str]]]) -> Batch:
    width = len(names)
    broken = [
        (line, f"{len(row)} cells, but the header names {width}")
        for line, row in chunk
        if len(row) != width
    ]
    if broken:
        chunk = [(line, row) for line, row in chunk if len(row) == width]
    cells = zip(*(row for _, row in chunk), strict=True) if chunk else ([] for _ in names)
    columns = {name: list(values) for name, values in zip(names, cells, strict=True)}
    return Batch(names, columns, [line for line, _ in chunk], broken)


def jsonl_batches(path: Path, reads: Callable[[str], bool]) -> Iterator[Batch]:
    """Read a file of one JSON object per line, gzipped if its name ends in `.gz`.

    Args:
        path: The file, UTF-8 with or without a byte order mark.
        reads: Whether to read the values of a key.

    Yields:
        At least one batch, which may have no rows. Blank lines are skipped.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    with _open_text(path) as handle:
        numbered = enumerate(handle, start=1)
        while True:
            chunk = list(islice(numbered, _BATCH_ROWS))
            yield _jsonl_batch([pair for pair in chunk if pair[1].strip(_BLANK)], reads)
            if len(chunk) < _BATCH_ROWS:
                return


def _jsonl_batch(chunk: list[tuple[int, str]], reads: Callable[[str], bool]) -> Batch:
    rows: list[Any] = []
    lines: list[int] = []
    broken: list[tuple[int, str]] = []
    for line, text in chunk:
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            broken.append((line, f"not JSON ({error})"))
            continue
        if isinstance(row, dict):
            rows.append(row)
            lines.append(line)
        else:
            broken.append((line, "not a JSON object"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names if reads(name)}
    return Batch(names, columns, lines, broken)


def first_line_not_utf8(path: Path) -> int:
    """Return the number of the first line that is not UTF-8."""
    with _open_bytes(path) as handle:
        for number, line in enumerate(handle, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    raise AssertionError(f"{path} is UTF-8")


def _open_bytes(path: Path) -> AbstractContextManager[IO[bytes]]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    # Skip the byte order mark that spreadsheets write; csv needs the original line ends.
    with _open_bytes(path) as raw, TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        yield text
