"""Reading one table's file into the schema's columns: parquet, jsonl (gzipped or not) or csv."""

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from catalog.dataset.columns import Converter, accepts, convert, from_arrow, from_json, from_text
from catalog.dataset.problems import Problems, Source, count, quote
from catalog.dataset.text_files import csv_batches, first_line_not_utf8, jsonl_batches
from catalog.schema import TEXT, TYPE_HELP, Column, Schema

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".csv")

_UNREADABLE = (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException)


@dataclass(frozen=True)
class RawTable:
    """A table as its file has it: the schema's types, values not yet checked."""

    schema: Schema
    source: Source
    table: pa.Table  # the known columns that the file has (all its columns where extensible)
    refused: dict[str, Int[np.ndarray, " bad"]]  # column -> rows already reported, null above

    def has(self, name: str) -> bool:
        """Whether the file has this column, and of the right type."""
        return name in self.table.column_names

    def sound(self, name: str, rows: Int[np.ndarray, " some"]) -> Int[np.ndarray, " rest"]:
        """The rows of `rows` whose value in this column was not already reported."""
        return np.setdiff1d(rows, self.refused[name], assume_unique=True)


def read_file(path: Path, schema: Schema, problems: Problems) -> RawTable | None:
    """Reads one table, adding what is wrong with the file or its types to `problems`.

    Args:
        path: a file with one of `SUFFIXES`.
        schema: what it should hold.
        problems: where errors and warnings go.

    Returns:
        The table, or None when the file cannot be read at all.
    """
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path, schema, problems)
        return _read_text(path, schema, problems)
    except UnicodeDecodeError:
        line = first_line_not_utf8(path)
        problems.error(f"{path.name}, line {line}: not UTF-8 text; save the file as UTF-8")
    except _UNREADABLE as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        problems.error(f"{path.name}: cannot be read ({why}); write or copy the file again")
    return None


@dataclass
class _Builder:
    """One column, growing batch by batch."""

    spec: Column
    converter: Converter
    chunks: list[pa.Array] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)  # rows whose value was not of the type
    example: Any = None  # the first such value
    length: int = 0

    def add(self, values: Any) -> None:
        chunk, bad = convert(values, self.spec.type, self.converter)
        if bad and not self.refused:
            self.example = values[bad[0]]
        self.refused += [self.length + row for row in bad]
        self.chunks.append(chunk)
        self.length += len(chunk)

    def finish(self, source: Source, problems: Problems) -> pa.ChunkedArray:
        fix = "correct it" if self.spec.required else "correct it or leave it empty"
        rows = np.array(self.refused, np.int64)
        problems.rows(source, self.spec.name, rows, lambda _: self._refusal(), fix)
        return pa.chunked_array(self.chunks, self.spec.type)

    def _refusal(self) -> str:
        try:
            value = self.example.as_py() if isinstance(self.example, pa.Scalar) else self.example
        except UnicodeDecodeError:
            return "holds bytes that are not UTF-8 text"
        return f"{quote(value)} is not {TYPE_HELP[self.spec.type]}"


def _read_parquet(path: Path, schema: Schema, problems: Problems) -> RawTable:
    # Opened by us: given a directory of that name, Arrow would read all the files inside.
    with path.open("rb") as handle, pq.ParquetFile(handle) as file:
        names = file.schema_arrow.names
        _check_header(path.name, names, schema, problems)
        once = [name for name in names if names.count(name) == 1]
        table = file.read(columns=[name for name in once if _keeps(schema, name)])
    source = Source(path.name, "row", np.arange(1, len(table) + 1))
    specs = {column.name: column for column in schema.columns}
    columns, refused = {}, {}
    for name in table.column_names:
        found, spec = table.column(name), specs.get(name)
        if spec is None:
            columns[name] = found
        elif accepts(found.type, spec.type):
            builder = _Builder(spec, from_arrow)
            for chunk in found.chunks:
                builder.add(chunk)
            columns[name] = builder.finish(source, problems)
            refused[name] = np.array(builder.refused, np.int64)
        else:
            problems.error(
                f"{path.name}, column {name}: holds the Arrow type {found.type}; "
                f"it must hold {TYPE_HELP[spec.type]}, best as {spec.type}"
            )
    return RawTable(schema, source, pa.table(columns), refused)


def _read_text(path: Path, schema: Schema, problems: Problems) -> RawTable:
    is_csv = path.suffix == ".csv"
    empty, converter = ("", from_text) if is_csv else (None, from_json)
    builders = {column.name: _Builder(column, converter) for column in schema.columns}
    extra: dict[str, list[Any]] = {}  # columns that the schema does not name, where they are kept
    header: list[str] = []
    lines: list[int] = []
    broken: list[tuple[int, str]] = []
    for batch in csv_batches(path) if is_csv else jsonl_batches(path, partial(_keeps, schema)):
        header = list(batch.names) if is_csv else list(dict.fromkeys([*header, *batch.names]))
        gap = [empty] * len(batch.lines)
        for name, builder in builders.items():
            builder.add(batch.columns.get(name, gap))
        if schema.extensible:
            for name in set(header) - builders.keys():
                values = extra.setdefault(name, [empty] * len(lines))
                values += batch.columns.get(name, gap)
        lines += batch.lines
        broken += batch.broken
    _report_broken(path.name, broken, problems)
    if header or lines or is_csv:
        _check_header(path.name, header, schema, problems)
    source = Source(path.name, "line", np.array(lines, np.int64))
    kept = {name: builder for name, builder in builders.items() if header.count(name) == 1}
    columns = {name: builder.finish(source, problems) for name, builder in kept.items()}
    columns |= {name: _extra_column(path.name, name, extra[name], problems) for name in extra}
    refused = {name: np.array(builder.refused, np.int64) for name, builder in kept.items()}
    return RawTable(schema, source, pa.table(columns), refused)


def _extra_column(file: str, name: str, values: list[Any], problems: Problems) -> pa.Array:
    """A column the schema does not name: text from a csv, from jsonl whatever its values are."""
    try:
        array = pa.array(values)
    except (ValueError, TypeError, OverflowError):
        problems.error(f"{file}, column {name}: mixes kinds of values; use one kind throughout")
        return pa.nulls(len(values))
    return from_text(values, TEXT) if pa.types.is_string(array.type) else array


def _keeps(schema: Schema, name: str) -> bool:
    return schema.extensible or name in schema.names


def _check_header(file: str, names: Sequence[str], schema: Schema, problems: Problems) -> None:
    for column in schema.columns:
        if column.required and column.name not in names:
            found = ", ".join(map(quote, names)) if names else "none"
            problems.error(
                f"{file}, column {column.name}: missing; add it (columns in the file: {found})"
            )
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            problems.error(f"{file}, column {name}: there are {names.count(name)}; keep one")
    unknown = [name for name in dict.fromkeys(names) if not _keeps(schema, name)]
    if unknown:
        columns = ", ".join(map(quote, unknown))
        problems.warning(f"{file}: {count(len(unknown), 'unknown column')} not read: {columns}")


def _report_broken(file: str, broken: list[tuple[int, str]], problems: Problems) -> None:
    if broken:
        source = Source(file, "line", np.array([line for line, _ in broken], np.int64))
        rows = np.arange(len(broken))
        problems.rows(source, None, rows, lambda row: broken[row][1], "correct the line")
