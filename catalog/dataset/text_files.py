"""Read csv and jsonl files in batches of rows, with the line number of each row."""

import csv
import gzip
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from catalog.dataset.attributes import RepeatedKeys, json_object
from catalog.dataset.problems import quote

# Allow long csv cells: the default limit of the standard library is 128 KiB.
csv.field_size_limit(2**31 - 1)

UTF_8 = "utf-8-sig"  # skips the byte order mark that spreadsheets write

_BATCH_ROWS = 65_536  # maximum number of rows that are in memory as Python objects
_BLANK = " \t\r\n"
_OPEN_QUOTE = "unexpected end of data"  # the error of the csv reader
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class RowBatch:
    """Rows of a text file, as strings or decoded JSON values."""

    names: Sequence[str]  # the header of a csv, or all keys of the batch's jsonl rows
    # Column name -> one value per row; only columns that are read. If the header of a csv has a
    # name several times, each value is a list of cells.
    columns: dict[str, list[Any]]
    lines: list[int]  # for each row, the number of its first line, from 1
    broken: list[tuple[int, str]]  # for each invalid line, its number and its problem


@dataclass(frozen=True)
class Dialect:
    """How a csv file separates its cells."""

    delimiter: str
    first_line: int  # line number of the header, from 1
    quoted: bool = True  # whether a quote at the start of a cell begins a quoted cell

    @property
    def may_have_decimal_commas(self) -> bool:
        """Whether numbers may have decimal commas; False if commas separate the cells."""
        return self.delimiter != ","


def csv_dialect(
    path: Path,
    names: Collection[str],
    *,
    encoding: str = UTF_8,
    key: Callable[[str], str] = str.strip,
) -> Dialect:
    """Find the dialect of a csv file: the delimiter with which the header has most known names.

    Of several such delimiters, it is the one that makes most cells. A first line such as `sep=;`,
    which Excel reads and writes, names the delimiter.

    Args:
        path: The file.
        names: Known names of columns.
        encoding: The encoding of the file; the default is UTF-8 with or without a byte order mark.
        key: Returns the form in which a name of the header is looked up among the known names.

    Raises:
        UnicodeDecodeError: the file has another encoding.
    """
    with open_text(path, encoding) as handle:
        header = handle.readline()
    if header[:4].lower() == "sep=" and len(header.strip("\r\n")) == 5:
        return Dialect(header[4], 2)

    def known(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        return len({key(cell) for cell in cells} & set(names)), len(cells)

    return Dialect(max(_DELIMITERS, key=known), 1)


def csv_batches(
    path: Path, dialect: Dialect, encoding: str = UTF_8, *, skips: bool = False
) -> Iterator[RowBatch]:
    """Read a csv file whose header names the columns.

    Args:
        path: The file.
        dialect: The dialect of the file, as `csv_dialect` returns it.
        encoding: The encoding of the file; the default is UTF-8 with or without a byte order mark.
        skips: Whether lines with misplaced quotes are broken lines instead of an error.

    Yields:
        At least one batch, which may have no rows. Blank lines are skipped.

    Raises:
        UnicodeDecodeError: the file has another encoding.
        csv.Error: quotes are misplaced, or the last quote is open, so the rest cannot be read; the
            message names the line.
    """
    with open_text(path, encoding) as handle:
        for _ in range(1, dialect.first_line):
            handle.readline()
        reader = csv.reader(
            handle,
            delimiter=dialect.delimiter,
            quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE,
            strict=True,
        )
        broken: list[tuple[int, str]] | None = [] if skips else None
        try:
            names = next(reader, [])
            rows = _csv_rows(reader, dialect.first_line - 1, broken)
            while True:
                chunk = list(islice(rows, _BATCH_ROWS))
                yield _csv_batch(names, chunk, broken or ())
                if broken:
                    broken.clear()
                if len(chunk) < _BATCH_ROWS:
                    return
        except csv.Error as error:
            line = reader.line_num + dialect.first_line - 1
            raise csv.Error(f"line {line}: {error}") from error


def _csv_rows(
    reader: Any, skipped: int, broken: list[tuple[int, str]] | None
) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with their first line; add the lines of invalid rows to `broken`, if it exists."""
    line = reader.line_num + 1 + skipped
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            if broken is None or str(error) == _OPEN_QUOTE:
                raise
            # A quote that nothing closes takes the lines up to the next quote with it.
            last = reader.line_num + skipped
            broken += [
                (number, f"a quote is misplaced ({error})") for number in range(line, last + 1)
            ]
            row = []
        if row is None:
            return
        if row:
            yield line, row
        line = reader.line_num + 1 + skipped  # not `line + 1`: a quoted cell may span lines


def _csv_batch(
    names: list[str], chunk: list[tuple[int, list[str]]], invalid: Sequence[tuple[int, str]]
) -> RowBatch:
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
    if len(columns) < width:
        for name in columns:
            places = [place for place, other in enumerate(names) if other == name]
            if len(places) > 1:
                columns[name] = [[row[place] for place in places] for _, row in chunk]
    return RowBatch(names, columns, [line for line, _ in chunk], sorted([*broken, *invalid]))


def jsonl_batches(
    path: Path, reads: Callable[[str], bool], encoding: str = UTF_8
) -> Iterator[RowBatch]:
    """Read a file of one JSON object per line, gzipped if its name ends in `.gz`.

    Args:
        path: The file.
        reads: Returns whether to read the values of a key.
        encoding: The encoding of the file; the default is UTF-8 with or without a byte order mark.

    Yields:
        At least one batch, which may have no rows. Blank lines are skipped.

    Raises:
        UnicodeDecodeError: the file has another encoding.
    """
    with open_text(path, encoding) as handle:
        numbered = enumerate(handle, start=1)
        while True:
            chunk = list(islice(numbered, _BATCH_ROWS))
            yield _jsonl_batch([pair for pair in chunk if pair[1].strip(_BLANK)], reads)
            if len(chunk) < _BATCH_ROWS:
                return


def _jsonl_batch(chunk: list[tuple[int, str]], reads: Callable[[str], bool]) -> RowBatch:
    rows: list[Any] = []
    lines: list[int] = []
    broken: list[tuple[int, str]] = []
    for line, text in chunk:
        try:
            row = json.loads(text, object_pairs_hook=json_object)
        except (ValueError, RecursionError) as error:
            broken.append((line, f"not JSON ({error})"))
            continue
        if isinstance(row, RepeatedKeys):
            broken.append((line, f"has {quote(row.repeated)} twice"))
        elif isinstance(row, dict):
            rows.append(row)
            lines.append(line)
        else:
            broken.append((line, "not a JSON object"))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names if reads(name)}
    return RowBatch(names, columns, lines, broken)


def first_line_not_utf8(path: Path) -> int:
    """Return the number of the first line that is not UTF-8."""
    with open_bytes(path) as handle:
        for number, line in enumerate(handle, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    raise AssertionError(f"{path} is UTF-8")


def open_bytes(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a file, which is gzipped if its name ends in `.gz`."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


@contextmanager
def open_text(path: Path, encoding: str = UTF_8) -> Iterator[IO[str]]:
    """Open a text file, which is gzipped if its name ends in `.gz`; line ends are kept."""
    # The csv reader needs the original line ends, so newline is "".
    with open_bytes(path) as raw, TextIOWrapper(raw, encoding, newline="") as text:
        yield text
