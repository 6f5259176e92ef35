"""Import exports: recognise the format of each file, convert the tables, and write the dataset."""

import datetime
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from base.atomic_files import write_directory
from base.errors import InputError
from catalog.dataset.files import SUFFIXES
from catalog.dataset.problems import listed
from catalog.dataset.reading import read_dataset
from catalog.importing.convert import Choices, TableConverter
from catalog.importing.formats import FORMATS
from catalog.importing.items import MORE_IMAGES
from catalog.importing.quality import item_quality
from catalog.importing.report import Report, SourceReport
from catalog.importing.rules import Format
from catalog.importing.sources import Files, Source, open_source
from catalog.schema import ITEMS, SCHEMAS

REPORT = "import-report.json"
_INFO = "dataset.json"
# Files of a dataset that an import does not read: they may lie in a directory of exports.
_BESIDE = frozenset(
    (_INFO, REPORT, "synonyms.txt", "rules.jsonl", *(f"users{end}" for end in SUFFIXES))
)
_NO_TABLES = frozenset((".md", ".pdf", ".html", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".log"))
_TABLES = tuple(schema.name for schema in SCHEMAS)


def import_exports(
    exports: Sequence[Path],
    out: Path,
    *,
    format: str = "auto",  # noqa: A002
    mapping: Format | None = None,
    encoding: str = "",
    currency: str = "",
    language: str = "",
    decimal: str = "auto",
    max_bad_share: float = 0.05,
    now: datetime.datetime | None = None,
) -> Report:
    """Convert exports to a dataset directory, and write the report beside the tables.

    The directory is written as a whole, or not at all. If it exists, it must be empty or come from
    an earlier import: then the tables that this import writes are replaced, and all other files in
    it stay.

    Args:
        exports: Files, and directories of files.
        out: The dataset directory to write.
        format: Name of the format of all files; "auto": each file's columns show its format.
        mapping: The format of files that no known format describes.
        encoding: Codec of all text files; "": found for each file.
        currency: Currency of prices that name none, such as EUR.
        language: Language of texts that name none. Rows in other languages are left out.
        decimal: Decimal sign of numbers: `point`, `comma`, or `auto` to find out.
        max_bad_share: Largest share of the records of a table that may have a problem.
        now: The time that decides whether a sale is on; None: the current time.

    Returns:
        The report.

    Raises:
        InputError: the exports cannot be read, have no items or too many problems, or the directory
            holds something else.
    """
    _check_directory(out)
    formats = (
        [mapping]
        if mapping is not None
        else [known for known in FORMATS if format in ("auto", known.name)]
    )
    report = Report()
    grouped = _recognise(_expand(exports, report), formats, encoding, report)
    now = now or datetime.datetime.now(datetime.UTC)
    tables = _convert(grouped, Choices(currency, language, decimal, now), report)
    subject = ", ".join(map(str, exports))
    if not len(tables.get(ITEMS.name, ())):
        problem = f"{subject}: no items; give the export of the products"
        raise InputError(listed(problem, report.problems) if report.problems else problem)
    if report.bad_share() > max_bad_share:
        problem = f"{subject}: more than {max_bad_share:.0%} of the rows (see --max-bad-rows)"
        raise InputError(listed(problem, report.problems))
    report.written = {name: len(table) for name, table in tables.items()}
    info = {k: v for known, _ in grouped.values() for k, v in known.info.items()}
    report.quality = item_quality(tables[ITEMS.name])
    report.quality["warnings"][:0] = report.warnings
    write_directory(out, lambda fresh: _fill(fresh, out, tables, info, report))
    return report


def _check_directory(out: Path) -> None:
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / REPORT).is_file())):
        raise InputError(f"{out}: exists, but not from an import; give a new directory with --out")


def _expand(exports: Sequence[Path], report: Report) -> list[Path]:
    """Return the files, and the files in the directories, by name."""
    paths: list[Path] = []
    for export in exports:
        if not export.is_dir():
            paths.append(export)
            continue
        for path in sorted(path for path in export.iterdir() if path.is_file()):
            if path.name in _BESIDE or path.suffix.lower() in _NO_TABLES:
                report.leave_out(path.name, "a file that no import reads; copy it to the dataset")
            elif not path.name.startswith((".", "_")):
                paths.append(path)
    return paths


def _recognise(
    paths: Iterable[Path], formats: Sequence[Format], encoding: str, report: Report
) -> dict[str, tuple[Format, Files]]:
    """Return the files of each format, by the name of the format."""
    names = frozenset().union(*(known.sources for known in formats))
    found: dict[str, tuple[Format, dict[str, list[Source]]]] = {}
    for path in paths:
        source = open_source(path, names, encoding)
        columns = source.columns()
        fits = [
            (len(keys), known, role)
            for known in formats
            for role, sets in known.files.items()
            for keys in sets
            if keys <= columns
        ]
        if not fits:
            raise InputError(_unknown(source, formats))
        # A file may have the columns of several formats. The longest set of columns decides, and of
        # equal sets the first.
        _, known, role = max(fits, key=itemgetter(0))
        found.setdefault(known.name, (known, {}))[1].setdefault(role, []).append(source)
        report.warnings += filter(None, [source.warning])
        report.sources.append(SourceReport(path.name, known.name, role, source.encoding))
    return {name: (known, Files(roles, report)) for name, (known, roles) in found.items()}


def _unknown(source: Source, formats: Sequence[Format]) -> str:
    shown = ", ".join(source.names.values()) or "none"
    if len(formats) > 1:
        return (
            f"{source.path.name}: of no known format (columns: {shown}); name its columns in a "
            "file for --mapping"
        )
    needed = " or ".join(
        ", ".join(sorted(keys)) for sets in formats[0].files.values() for keys in sets
    )
    return (
        f"{source.path.name}: no file of {formats[0].title}, which has the columns {needed} "
        f"(columns: {shown})"
    )


def _convert(
    grouped: Mapping[str, tuple[Format, Files]], choices: Choices, report: Report
) -> dict[str, pa.Table]:
    """Convert the tables of all formats; join the tables of the same name."""
    batches: dict[str, list[pa.Table]] = {}
    converters = {name: TableConverter(choices, report) for name in _TABLES}
    for known, files in grouped.values():
        for table in known.tables:
            name = table.schema.name
            batches.setdefault(name, []).extend(converters[name].convert(table, files))
        _name_unused(known, files, report)
    return {name: pa.concat_tables(parts) for name, parts in batches.items() if parts}


def _name_unused(known: Format, files: Files, report: Report) -> None:
    """Name the columns of each file that fill no field."""
    sources = {rule.source for table in known.tables for rule in table.rules}
    used = sources | {source.split(".")[0] for source in sources}
    names = {s.path.name: s.names for several in files.sources.values() for s in several}
    for entry in report.sources:
        if entry.format == known.name:
            entry.unused = [
                name
                for key, name in names[entry.file].items()
                if key not in used and not re.fullmatch(known.reads, key)
            ]


def _fill(
    fresh: Path,
    out: Path,
    tables: Mapping[str, pa.Table],
    info: Mapping[str, Any],
    report: Report,
) -> None:
    """Write tables, `dataset.json` and the report, and keep all other files of the directory."""
    for name, table in tables.items():
        pq.write_table(table, fresh / f"{name}.parquet")
    for path in out.iterdir() if out.is_dir() else ():
        if path.name.partition(".")[0] not in tables and path.name != REPORT:
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, fresh / path.name)
    settings = {**info, **_settings(fresh / _INFO)}
    if MORE_IMAGES in report.quality["attributes"]:
        stored = settings.setdefault("stored_only", [])
        if isinstance(stored, list) and MORE_IMAGES not in stored:
            stored.append(MORE_IMAGES)
    if settings:
        content = json.dumps({"name": out.resolve().name} | settings, ensure_ascii=False, indent=1)
        (fresh / _INFO).write_text(content + "\n", "utf-8")
    # Read the result as training does, so that `validate` passes.
    report.quality["warnings"] += read_dataset(fresh).warnings
    whole = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
    (fresh / REPORT).write_text(whole + "\n", "utf-8")


def _settings(path: Path) -> dict[str, Any]:
    """Return the entries of the `dataset.json` of an earlier import; none if there is no file."""
    try:
        settings = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{path.name}: not JSON ({error}); correct it or remove it") from None
    return settings if isinstance(settings, dict) else {}
