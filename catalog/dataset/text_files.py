"""Reading csv and jsonl files in batches of rows, each row with the line it starts at."""

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
    """Some rows of a text file, as strings or decoded JSON values."""

    names: Sequence[str]  # the csv's header, or the keys these rows of a jsonl have
    columns: dict[str, list[Any]]  # a value per row, for the names that were wanted
    lines: list[int]  # the line each row starts at, from 1
    broken: list[tuple[int, str]]  # lines that are no row, and why


def csv_batches(path: Path) -> Iterator[Batch]:
    """Reads a csv file whose first line names the columns.

    Args:
        path: the file, UTF-8 with or without a byte order mark.

    Yields:
        At least one batch, perhaps of no rows; blank lines are skipped.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
        csv.Error: quoting is so broken that the rest cannot be read; the text names the line.
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
        (line, f"{len(row)} cells where the header names {width}")
        for line, row in chunk
        if len(row) != width
    ]
    if broken:
        chunk = [(line, row) for line, row in chunk if len(row) == width]
    cells = zip(*(row for _, row in chunk), strict=True) if chunk else ([] for _ in names)
    columns = {name: list(values) for name, values in zip(names, cells, strict=True)}
    return Batch(names, columns, [line for line, _ in chunk], broken)


def jsonl_batches(path: Path, wanted: Callable[[str], bool]) -> Iterator[Batch]:
    """Reads a file of one JSON object per line, gzipped where its name ends in `.gz`.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        wanted: whether the values of a key are of interest.

    Yields:
        At least one batch, perhaps of no rows; blank lines are skipped.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    with _open_text(path) as handle:
        numbered = enumerate(handle, start=1)
        while True:
            chunk = list(islice(numbered, _BATCH_ROWS))
            yield _jsonl_batch([pair for pair in chunk if pair[1].strip(_BLANK)], wanted)
            if len(chunk) < _BATCH_ROWS:
                return


def _jsonl_batch(chunk: list[tuple[int, str]], wanted: Callable[[str], bool]) -> Batch:
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
    columns = {name: [row.get(name) for row in rows] for name in names if wanted(name)}
    return Batch(names, columns, lines, broken)


def first_line_not_utf8(path: Path) -> int:
    """The number of the first line whose bytes are not UTF-8."""
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
    # The byte order mark that spreadsheets write is skipped; csv wants line ends as they are.
    with _open_bytes(path) as raw, TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        yield text
