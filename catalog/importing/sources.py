"""Open the files of an export and read their records: csv, tsv, XML, JSON, JSON lines, parquet."""

import codecs
import csv
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from base.errors import InputError
from catalog.dataset.attributes import json_object
from catalog.dataset.problems import quote
from catalog.dataset.text_files import (
    UTF_8,
    Dialect,
    csv_batches,
    csv_dialect,
    first_line_not_utf8,
    jsonl_batches,
    open_bytes,
    open_text,
)
from catalog.importing.report import Report
from catalog.importing.rules import Repeated, Row, column_key
from catalog.importing.xml_rows import xml_rows
from catalog.schema import ITEMS

_UNREADABLE = (
    OSError,
    EOFError,
    LookupError,
    UnicodeError,
    zlib.error,
    csv.Error,
    pa.ArrowException,
)
_CHUNK = 2**20  # bytes that are decoded at a time
_SAMPLE = 100  # records whose columns show the format of a file
_BATCH = 1024  # records of a parquet file that are in memory as Python objects
# Texts that databases and data frames write for a missing value.
_BLANKS = frozenset(("", "NULL", "null", "NaN", "nan", "None", "N/A", "#N/A", "\\N"))
# A byte that is not UTF-8, which the error handler `surrogateescape` marks.
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")
_BETWEEN_CELLS = re.compile('[,;|<>"\t\r\n]')
_SHOWN = 40  # characters of a cell before and after such a byte that a warning shows
_CONTAINERS = {b"PK": "a zip archive or an Excel file", b"\x1f\x8b": "gzipped, but not named .gz"}

# Reads the records, and calls its argument for each line that is no record.
Records = Callable[[Callable[[str, str], object]], Iterator[Row]]


@dataclass(frozen=True)
class Source:
    """One file of an export. Its records can be read several times."""

    path: Path
    encoding: str  # of the file, in words
    records: Records
    warning: str = ""  # what may be wrong with the encoding
    names: dict[str, str] = field(default_factory=dict)  # key -> name in the file, of columns seen

    def rows(self, report: Report, table: str = "items") -> Iterator[Row]:
        """Read the records; a line that is no record is a problem of the report.

        Raises:
            InputError: the file cannot be read.
        """

        def broken(place: str, say: str) -> None:
            report.rows[table] += 1
            report.problem(table, place, "", "line", say, "correct the line")
            if table == ITEMS.name:
                report.cannot_read("")

        try:
            for row in self.records(broken):
                cells = {}
                for name, value in row.cells.items():
                    key = column_key(name)
                    self.names.setdefault(key, name.strip())
                    if not _is_blank(value) and key not in cells:
                        cells[key] = value
                yield Row(row.place, cells)
        except _UNREADABLE as error:
            raise _unreadable(self.path, error, "; export the file again") from error

    def columns(self) -> frozenset[str]:
        """Return the keys of the columns of the first records."""
        for _ in islice(self.rows(Report()), _SAMPLE):
            pass
        return frozenset(self.names)


@dataclass
class Files:
    """The files of one format, by role, and the report that takes what is wrong with them."""

    sources: Mapping[str, Sequence[Source]]
    report: Report
    table: str = "items"  # the table that the records are read for

    def rows(self, role: str) -> Iterator[Row]:
        """Yield the records of all files of a role; none if there is no such file."""
        for source in self.sources.get(role, ()):
            yield from source.rows(self.report, self.table)

    def column(self, key: str) -> str:
        """Return the name of a column in the files; the key itself if no file has the column."""
        names = (source.names for several in self.sources.values() for source in several)
        return next((found[key] for found in names if key in found), key)

    def leave_out(self, row: Row, reason: str) -> None:
        """Count a row that the format leaves out on purpose."""
        self.report.leave_out(row.place, reason)


def open_source(path: Path, names: Iterable[str], encoding: str) -> Source:
    """Find out how a file is written.

    Args:
        path: The file.
        names: Keys of the columns that csv files of all formats have.
        encoding: A codec of Python; "": found in the file.

    Raises:
        InputError: the file cannot be read, or is of no known kind.
    """
    try:
        with open_bytes(path) as file:
            head = file.read(4096)
        if head.startswith(b"PAR1"):
            return Source(path, "parquet", partial(_parquet, path))
        for start, kind in _CONTAINERS.items():
            if head.startswith(start):
                raise InputError(
                    f"{path.name}: {kind}; give a csv, tsv, XML, JSON or parquet file, and name a "
                    "gzipped file .gz"
                )
        codec, warning = (_named(encoding), "") if encoding else _encoding(path, head)
        first = head.decode(codec, "replace").lstrip("\ufeff \t\r\n")[:1]
        records: Records
        if first == "<":
            records = partial(xml_rows, path, codec)
        elif first in ("{", "["):
            records = partial(_json, path, codec)
        else:
            keys = frozenset(names)
            dialect = csv_dialect(path, keys, encoding=codec, key=column_key)
            if dialect.delimiter == "\t" and not _quotes_fit(path, dialect, codec):
                dialect = replace(dialect, quoted=False)
            records = partial(_csv, path, codec, dialect)
    except _UNREADABLE as error:
        raise _unreadable(path, error, "") from error
    return Source(path, "utf-8" if codec == UTF_8 else codec, records, warning)


def _unreadable(path: Path, error: Exception, fix: str) -> InputError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    if isinstance(error, UnicodeError):
        fix += f"{' or' if fix else ';'} name its encoding with --encoding"
    return InputError(f"{path.name}: cannot be read ({why}){fix}")


def _named(encoding: str) -> str:
    """Return a codec that the user names; UTF-8 with or without a byte order mark."""
    return UTF_8 if codecs.lookup(encoding).name == "utf-8" else encoding


def _encoding(path: Path, head: bytes) -> tuple[str, str]:
    """Return the encoding of a file, and a warning if it is a guess.

    The encoding is UTF-8, UTF-16 if a byte order mark says so, the encoding of XML, or Windows-1252
    as a guess. A file with more characters of UTF-8 than bytes that are not UTF-8 is damaged.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", ""
    declared = re.match(rb"""<\?xml[^>]{0,100}encoding=["']([\w.-]{1,40})["']""", head)
    if declared and declared[1].lower() not in (b"utf-8", b"utf8"):
        return declared[1].decode("ascii"), ""
    if b"\0" in head:
        raise InputError(
            f"{path.name}: is no UTF-8 text, because it has NUL characters; name its encoding with "
            "--encoding, such as utf-16-le"
        )
    good = bad = 0
    example = ""
    with open_text(path, UTF_8) as file:
        file.reconfigure(errors="surrogateescape")  # type: ignore[attr-defined]
        while text := file.read(_CHUNK):
            if not text.isascii():
                escaped = len(_NOT_UTF_8.findall(text))
                bad += escaped
                if escaped and not example:
                    example = _around_first_byte(text)
                good += len(re.findall("[^\x00-\x7f]", text)) - escaped
    if not bad:
        return UTF_8, ""
    if good > bad:
        raise InputError(
            f"{path.name}, line {first_line_not_utf8(path)}: not UTF-8 text, but other lines are; "
            "export the file again, or name its encoding with --encoding"
        )
    read = example.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return "cp1252", (
        f"{path.name}: is not UTF-8, and was read as Windows-1252, such as {quote(read)}; if this "
        "is wrong, name its encoding with --encoding"
    )


def _around_first_byte(text: str) -> str:
    """Return the cell with the first byte that is not UTF-8, at most some characters of it."""
    found = _NOT_UTF_8.search(text)
    at = found.start() if found else 0
    before = _BETWEEN_CELLS.split(text[max(at - _SHOWN, 0) : at])[-1]
    return (before + _BETWEEN_CELLS.split(text[at : at + _SHOWN])[0]).strip()


def _quotes_fit(path: Path, dialect: Dialect, encoding: str) -> bool:
    """Return whether quotes surround cells; many files with tabs have quotes only inside texts."""
    try:
        for _ in csv_batches(path, dialect, encoding):
            pass
    except csv.Error:
        return False
    return True


def _csv(
    path: Path, encoding: str, dialect: Dialect, broken: Callable[..., object]
) -> Iterator[Row]:
    for batch in csv_batches(path, dialect, encoding, skips=True):
        names = [name for name in dict.fromkeys(batch.names) if name.strip()]
        for line, say in batch.broken:
            broken(f"{path.name}, line {line}", say)
        values = zip(*(batch.columns[name] for name in names), strict=True)
        for line, cells in zip(batch.lines, values, strict=False):
            joined = dict(zip(names, map(_joined, cells), strict=True))
            yield Row(f"{path.name}, line {line}", joined)


def _joined(cell: Any) -> Any:
    """Return the cells of a column that occurs several times as one cell."""
    if not isinstance(cell, list):
        return cell
    different = Repeated(dict.fromkeys(value for value in cell if not _is_blank(value)))
    return different if len(different) > 1 else "".join(different)


def _json(path: Path, encoding: str, broken: Callable[..., object]) -> Iterator[Row]:
    """Read a list of objects, an object with one such list, or one object per line."""
    if path.name.lower().removesuffix(".gz").endswith(".json") or _begins_with(path, encoding, "["):
        records = _whole_json(path, encoding)
        if records is not None:
            for number, record in enumerate(records, start=1):
                place = f"{path.name}, record {number}"
                if isinstance(record, dict):
                    yield Row(place, _document(record))
                else:
                    broken(place, f"{quote(record)} is not a JSON object")
            return
    for batch in jsonl_batches(path, lambda _: True, encoding):
        for line, say in batch.broken:
            broken(f"{path.name}, line {line}", say)
        for index, line in enumerate(batch.lines):
            record = {name: values[index] for name, values in batch.columns.items()}
            yield Row(f"{path.name}, line {line}", _document(record))


def _begins_with(path: Path, encoding: str, sign: str) -> bool:
    with open_text(path, encoding) as file:
        return file.read(64).lstrip().startswith(sign)


def _whole_json(path: Path, encoding: str) -> list[Any] | None:
    """Return the records of a JSON file; None if it has one object per line."""
    with open_text(path, encoding) as file:
        text = file.read()
    try:
        content = json.loads(text, object_pairs_hook=json_object)
    except RecursionError:
        raise InputError(f"{path.name}: nested too deeply; export the file again") from None
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return None
        raise InputError(f"{path.name}, line {error.lineno}: not JSON ({error.msg})") from None
    except ValueError as error:  # a whole number with thousands of digits
        raise InputError(f"{path.name}: not JSON ({error})") from None
    if isinstance(content, list):
        return content
    lists = [value for value in content.values() if isinstance(value, list) and value]
    lists = [value for value in lists if all(isinstance(record, dict) for record in value)]
    return lists[0] if len(lists) == 1 and len(content) < 10 else [content]


def _document(record: dict[str, Any]) -> dict[str, Any]:
    """Return the document of a record that a search engine exported, else the record."""
    inside = record.get("_source")
    return inside if isinstance(inside, dict) else record


def _parquet(path: Path, _broken: Callable[..., object]) -> Iterator[Row]:
    number = 0
    with path.open("rb") as handle, pq.ParquetFile(handle) as file:
        for batch in file.iter_batches(_BATCH):
            for record in batch.to_pylist():
                number += 1
                yield Row(f"{path.name}, row {number}", record)


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in _BLANKS
    return value is None or (isinstance(value, list | dict) and not value)
