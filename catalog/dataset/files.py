"""Read the file of one table into the schema's columns: parquet, jsonl, jsonl.gz or csv."""

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
    """A table with the schema's types, whose values are not checked yet."""

    schema: Schema
    source: Source
    table: pa.Table  # the file's known columns; all of its columns if the schema is extensible
    refused: dict[str, Int[np.ndarray, " bad"]]  # column -> rows already reported, null in `table`

    def has(self, name: str) -> bool:
        """Return whether the file has this column with the right type."""
        return name in self.table.column_names

    def unreported(self, name: str, rows: Int[np.ndarray, " some"]) -> Int[np.ndarray, " rest"]:
        """Return those of `rows` whose value in this column was not reported yet."""
        return np.setdiff1d(rows, self.refused[name], assume_unique=True)


def read_file(path: Path, schema: Schema, problems: Problems) -> RawTable | None:
    """Read one table; add errors of the file and of its types to `problems`.

    Args:
        path: A file with one of `SUFFIXES`.
        schema: The table's schema.
        problems: Takes the errors and warnings.

    Returns:
        The table, or None if the file cannot be read.
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
    """One column, built batch by batch."""

    spec: Column
    converter: Converter
    chunks: list[pa.Array] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)  # rows whose value has another type
    example: Any = None  # the first refused value
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
    # Open the file here: Arrow would read all files of a directory with this name.
    with path.open("rb") as handle, pq.ParquetFile(handle) as file:
        names = file.schema_arrow.names
        _check_header(path.name, names, schema, problems)
        once = [name for name in names if names.count(name) == 1]
        table = file.read(columns=[name for name in once if _keeps(schema, name)])
    source = Source(path.name, "row", np.arange(1, len(table) + 1))
    specs = {column.name: column for column in schema.columns}
    columns, refused = {}, {}
    for name in table.column_names:
        column, spec = table.column(name), specs.get(name)
        if spec is None:
            columns[name] = column
        elif accepts(column.type, spec.type):
            builder = _Builder(spec, from_arrow)
            for chunk in column.chunks:
                builder.add(chunk)
            columns[name] = builder.finish(source, problems)
            refused[name] = np.array(builder.refused, np.int64)
        else:
            problems.error(
                f"{path.name}, column {name}: has the Arrow type {column.type}; "
                f"give {TYPE_HELP[spec.type]}, best as {spec.type}"
            )
    return RawTable(schema, source, pa.table(columns), refused)


def _read_text(path: Path, schema: Schema, problems: Problems) -> RawTable:
    is_csv = path.suffix == ".csv"
    empty, converter = ("", from_text) if is_csv else (None, from_json)
    builders = {column.name: _Builder(column, converter) for column in schema.columns}
    extra: dict[str, list[Any]] = {}  # columns outside of an extensible schema
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
    """Return a column outside of the schema: text from a csv, any one type from jsonl."""
    try:
        array = pa.array(values)
    except (ValueError, TypeError, OverflowError):
        problems.error(f"{file}, column {name}: mixes types of values; use one type throughout")
        return pa.nulls(len(values))
    return from_text(values, TEXT) if pa.types.is_string(array.type) else array


def _keeps(schema: Schema, name: str) -> bool:
    return schema.extensible or name in schema.names


def _check_header(file: str, names: Sequence[str], schema: Schema, problems: Problems) -> None:
    for column in schema.columns:
        if column.required and column.name not in names:
            present = ", ".join(map(quote, names)) if names else "none"
            problems.error(
                f"{file}, column {column.name}: missing; add it (columns in the file: {present})"
            )
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            problems.error(f"{file}, column {name}: occurs {names.count(name)} times; keep one")
    unknown = [name for name in dict.fromkeys(names) if not _keeps(schema, name)]
    if unknown:
        columns = ", ".join(map(quote, unknown))
        problems.warning(f"{file}: {count(len(unknown), 'unknown column')} not read: {columns}")


def _report_broken(file: str, broken: list[tuple[int, str]], problems: Problems) -> None:
    if broken:
        source = Source(file, "line", np.array([line for line, _ in broken], np.int64))
        rows = np.arange(len(broken))
        problems.rows(source, None, rows, lambda row: broken[row][1], "correct the line")
