"""Read the file of one table into the schema's columns: parquet, jsonl, jsonl.gz or csv."""

import csv
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from catalog.dataset.columns import Converter, accepts, convert, from_arrow, from_json, from_text
from catalog.dataset.decimal_commas import columns_with_decimal_commas, with_decimal_points
from catalog.dataset.problems import Problems, Source, count, quote
from catalog.dataset.text_files import (
    csv_batches,
    csv_dialect,
    first_line_not_utf8,
    jsonl_batches,
)
from catalog.schema import NUMBER, TEXT, TYPE_HELP, WHOLE, Column, Schema

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".csv")

_UNREADABLE = (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException)


@dataclass(frozen=True)
class RawTable:
    """A table with the schema's types, whose values are not checked yet."""

    schema: Schema
    source: Source
    table: pa.Table  # the file's known columns; all of its columns if the schema is extensible
    # column -> rows whose value has a wrong type; it is already reported, and null in `table`
    refused: dict[str, Int[np.ndarray, " bad"]]

    def has(self, name: str) -> bool:
        """Return whether the file has this column with the right type."""
        return name in self.table.column_names

    def unreported(self, name: str, rows: Int[np.ndarray, " some"]) -> Int[np.ndarray, " rest"]:
        """Return `rows` without the rows whose value in this column is reported already."""
        return np.setdiff1d(rows, self.refused[name], assume_unique=True)


def read_file(path: Path, schema: Schema, problems: Problems) -> RawTable | None:
    """Read one table; add errors about the file and about types to `problems`.

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
    refused: list[int] = field(default_factory=list)  # rows whose value has a wrong type
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
        except (ValueError, OverflowError):  # a date that Python cannot represent
            value = self.example.cast(pa.string()).as_py()
        return f"{quote(value)} is not {TYPE_HELP[self.spec.type]}"


def _read_parquet(path: Path, schema: Schema, problems: Problems) -> RawTable | None:
    files = parquet_files(path)
    if not files:
        problems.error(f"{path.name}: a directory without parquet files; write the table again")
        return None
    tables, header = [], list[str]()
    for file in files:
        try:
            names, table = _open_parquet(file, schema)
        except (OSError, pa.ArrowException) as error:
            if file is path:
                raise
            raise OSError(f"{file.relative_to(path)}: {error}") from error
        tables.append(table)
        header += [name for name in names if name not in header or names.count(name) > 1]
    _check_header(path.name, header, schema, problems)
    for folder in sorted({part for file in files for part in file.relative_to(path).parts[:-1]}):
        name = folder.partition("=")[0]
        if "=" in folder and name in schema.names and name not in header:
            problems.error(
                f"{path.name}, column {name}: only in the name of the folder {quote(folder)}; "
                "write the column into the files"
            )
    return _finish_parquet(tables, path, schema, problems, files if path.is_dir() else ())


def parquet_files(path: Path) -> list[Path]:
    """Return the parquet files of a table: the file itself, or all in a directory, by name.

    Names that begin with `.` or `_` are left out: tools use them for unfinished files and logs.
    """
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.rglob("*.parquet")
        if not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    )


def _open_parquet(path: Path, schema: Schema) -> tuple[list[str], pa.Table]:
    """Return the names of all columns of a file, and a table of the columns that are used."""
    # Open the file here: if the path is a directory, Arrow would read all files in it. Read INT96,
    # the times that Spark writes, in microseconds: Arrow's default, nanoseconds, ends in 2262.
    with (
        path.open("rb") as handle,
        pq.ParquetFile(handle, coerce_int96_timestamp_unit="us") as file,
    ):
        names = file.schema_arrow.names
        unique_names = [name for name in names if names.count(name) == 1]
        return names, file.read(columns=[name for name in unique_names if _keeps(schema, name)])


def _finish_parquet(
    tables: Sequence[pa.Table],
    path: Path,
    schema: Schema,
    problems: Problems,
    files: Sequence[Path] = (),
) -> RawTable:
    """Convert the tables of all files to the schema's types, and join them into one table."""
    numbers = [np.arange(1, len(table) + 1) for table in tables]
    starts = np.cumsum([0, *map(len, numbers)]).tolist()
    parts = tuple((str(f.relative_to(path)), s) for f, s in zip(files, starts, strict=False))
    source = Source(path.name, "row", np.concatenate(numbers), parts)
    columns, refused = {}, {}
    for spec in schema.columns:
        if not any(spec.name in table.column_names for table in tables):
            continue
        builder = _Builder(spec, from_arrow)
        for table in tables:
            if spec.name not in table.column_names:
                builder.add(pa.nulls(len(table), spec.type))
                continue
            column = table.column(spec.name)
            if not accepts(column.type, spec.type):
                problems.error(
                    f"{path.name}, column {spec.name}: has the Arrow type {column.type}; "
                    f"give {TYPE_HELP[spec.type]}, best as {spec.type}"
                )
                break
            for chunk in column.chunks:
                builder.add(chunk)
        else:
            columns[spec.name] = builder.finish(source, problems)
            refused[spec.name] = np.array(builder.refused, np.int64)
    if schema.extensible:
        others = [t.drop_columns([n for n in t.column_names if n in schema.names]) for t in tables]
        whole = pa.concat_tables(others, promote_options="permissive")
        columns |= {name: whole[name] for name in whole.column_names}
    return RawTable(schema, source, pa.table(columns), refused)


def _read_text(path: Path, schema: Schema, problems: Problems) -> RawTable:
    is_csv = path.suffix == ".csv"
    empty, converter = ("", from_text) if is_csv else (None, from_json)
    builders = {column.name: _Builder(column, converter) for column in schema.columns}
    extra: dict[str, list[Any]] = {}  # columns that an extensible schema does not name
    header: list[str] = []
    lines: list[int] = []
    broken: list[tuple[int, str]] = []
    decimal_commas: Collection[str] = ()
    if is_csv:
        dialect = csv_dialect(path, schema.names)
        batches = csv_batches(path, dialect)
        if dialect.may_have_decimal_commas:
            numbers = [c.name for c in schema.columns if c.type in (NUMBER, WHOLE)]
            decimal_commas = columns_with_decimal_commas(path, dialect, numbers, problems)
    else:
        batches = jsonl_batches(path, partial(_keeps, schema))
    for batch in batches:
        header = list(batch.names) if is_csv else list(dict.fromkeys([*header, *batch.names]))
        gap = [empty] * len(batch.lines)
        for name, builder in builders.items():
            cells = batch.columns.get(name, gap)
            builder.add(with_decimal_points(cells) if name in decimal_commas else cells)
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
    present = {name: builder for name, builder in builders.items() if header.count(name) == 1}
    columns = {name: builder.finish(source, problems) for name, builder in present.items()}
    columns |= {name: _extra_column(path.name, name, extra[name], problems) for name in extra}
    refused = {name: np.array(builder.refused, np.int64) for name, builder in present.items()}
    return RawTable(schema, source, pa.table(columns), refused)


def _extra_column(file: str, name: str, values: list[Any], problems: Problems) -> pa.Array:
    """Return a column that the schema does not name: text in a csv, any single type in jsonl."""
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
