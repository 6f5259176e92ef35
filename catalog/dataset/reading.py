"""Read a dataset directory: return valid tables, or raise one error that lists all problems."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from base.errors import InputError
from catalog.attribute_roles import AttributeRoles
from catalog.dataset.files import SUFFIXES, RawTable, parquet_files, read_file
from catalog.dataset.problems import Problems, count, listed, quote
from catalog.dataset.texts import complete_categories
from catalog.dataset.validation import (
    check_judgments,
    check_table,
    map_queries,
    pair_codes,
    true_rows,
)
from catalog.equal_rows import first_of_equals
from catalog.events import MAX_EARLY_SECONDS, OPTIONAL_IDS
from catalog.item_text import normalise_query
from catalog.schema import EVENTS, ITEMS, NUMBER, SCHEMAS, TIME, DatasetInfo, Schema

_INFO_FILE = "dataset.json"
_ROLES = tuple(role.name for role in fields(AttributeRoles))


class DatasetError(InputError):
    """A dataset directory cannot be used."""

    def __init__(self, directory: Path, problems: Sequence[str]) -> None:
        """Store all problems, and write a message about the first ones.

        Args:
            directory: The dataset directory.
            problems: Each text names the file, row and column, and says what to do. Lines of text
                files and rows of parquet files are counted from 1; a csv's header is line 1.
        """
        self.problems = tuple(problems)
        super().__init__(listed(f"dataset {directory}", self.problems))


@dataclass(frozen=True)
class Dataset:
    """A valid dataset.

    Each table has all columns of its schema, in the schema's types and order. A column that the
    file lacks is null. Rows keep the file's order.
    """

    info: DatasetInfo
    items: pa.Table
    # only of items in `items`; one row per query and item; None if there is no file
    judgments: pa.Table | None
    events: pa.Table | None  # only of items in `items`; None if there is no file
    # the schema's columns, then the users' attributes; None if there is no file
    users: pa.Table | None
    warnings: tuple[str, ...]
    fingerprint: str  # hexadecimal SHA-256 of the names and contents of the files


def read_dataset(
    directory: Path,
    *,
    change: Callable[[pa.Table], pa.Table] | None = None,
    clock: Callable[[], float] = time.time,
) -> Dataset:
    """Read and check a dataset directory.

    If judgments have no query ids, each query gets an id. If they have no splits, a hash of the
    normalised query chooses the split: 80% train, 10% dev, 10% test. Repeated judgments are left
    out, and so are judgments and events of unknown items, and events of the future; warnings say
    how many. NaN in an optional number is a missing value.

    Args:
        directory: Holds `items` and optionally `judgments`, `events` and `users`, each as .parquet,
            .jsonl, .jsonl.gz or .csv, and optionally `dataset.json`. In a csv, attributes and
            embedding are JSON text, and so are lists of identifiers and categories.
        change: Changes the items, before judgments and events of unknown items are left out.
        clock: Returns the seconds since 1970.

    Returns:
        The dataset.

    Raises:
        DatasetError: the dataset has errors; the exception lists all of them.
    """
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError as error:
        why = f"not a readable directory ({error.strerror}); give the path of a dataset directory"
        raise DatasetError(directory, [why]) from error
    problems = Problems()
    settings = _read_settings(directory / _INFO_FILE, problems) if _INFO_FILE in names else {}
    for name in sorted(frozenset.intersection(*(settings.get(r, frozenset()) for r in _ROLES))):
        problems.error(f"{_INFO_FILE}: {quote(name)} is in {' and in '.join(_ROLES)}; keep one")
    grade_min = settings.get("grade_min", 0.0)
    paths = _find_files(directory, names, problems)
    tables = _read_tables(paths, grade_min, problems)
    if problems.errors:
        raise DatasetError(directory, problems.errors)

    full = {name: _complete(raw) for name, raw in tables.items()}
    if change is not None:
        full["items"] = change(full["items"])
    roles = _roles(settings, full["items"], problems)
    full["items"] = full["items"].replace_schema_metadata(roles.metadata)
    info = _resolve(settings, directory, roles, full.get("judgments"), problems)
    for name in ("judgments", "events"):
        if name in full:
            kept = _of_known_items(full[name], full["items"], tables[name], problems)
            if name == "events":
                latest = clock() + MAX_EARLY_SECONDS
                kept = pc.and_(kept, _not_after(latest, full[name], tables[name], problems))
            full[name] = full[name].filter(kept)
    if "judgments" in full:
        full["judgments"] = _finish_judgments(full["judgments"], tables["judgments"], problems)
    return Dataset(
        info,
        full["items"],
        full.get("judgments"),
        full.get("events"),
        full.get("users"),
        tuple(problems.warnings),
        _fingerprint([*paths.values(), *([directory / _INFO_FILE] if _INFO_FILE in names else [])]),
    )


def _read_tables(
    paths: Mapping[Schema, Path], grade_min: float, problems: Problems
) -> dict[str, RawTable]:
    """Read every table that has a file, and check each table by itself."""
    tables = {}
    for schema in SCHEMAS:
        raw = read_file(paths[schema], schema, problems) if schema in paths else None
        if raw is not None:
            tables[schema.name] = raw
            check_table(raw, problems)
            if schema is ITEMS and not len(raw.source.numbers):
                problems.error(f"{raw.source.file}: no items; give at least one")
    if "judgments" in tables:
        check_judgments(tables["judgments"], grade_min, problems)
    return tables


def _find_files(directory: Path, names: Sequence[str], problems: Problems) -> dict[Schema, Path]:
    """Return the file of each table; tables without a file are left out."""
    paths = {}
    for schema in SCHEMAS:
        readable = [name for name in names if name in {schema.name + end for end in SUFFIXES}]
        others = [n for n in names if n.startswith(f"{schema.name}.") and n not in readable]
        if len(readable) > 1:
            files = " and ".join(readable)
            problems.error(f"{files}: the same table in {len(readable)} files; keep one of them")
        elif readable:
            paths[schema] = directory / readable[0]
        elif schema is ITEMS:
            hint = f" (unsupported format: {', '.join(others)})" if others else ""
            choice = ", ".join(schema.name + end for end in SUFFIXES[:-1])
            problems.error(f"no items{hint}; add {choice} or {schema.name}{SUFFIXES[-1]}")
        if others and (readable or schema is not ITEMS):
            problems.warning(f"{', '.join(others)}: not read; use one of {', '.join(SUFFIXES)}")
    return paths


def _read_settings(path: Path, problems: Problems) -> dict[str, Any]:
    """Return the valid entries of `dataset.json`."""
    try:
        settings = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        problems.error(f"{path.name}: cannot be read as JSON ({error}); correct it or remove it")
        return {}
    if not isinstance(settings, dict):
        problems.error(f'{path.name}: not a JSON object; write e.g. {{"name": "My shop"}}')
        return {}
    valid: dict[str, Any] = {}
    for key, value in settings.items():
        if key == "name":
            if isinstance(value, str) and value.strip():
                valid[key] = value
            else:
                problems.error(f"{path.name}, name: {quote(value)} is not text; give it a name")
        elif key in ("grade_min", "relevant_from"):
            if type(value) in (int, float) and math.isfinite(value):
                valid[key] = float(value)
            else:
                problems.error(
                    f"{path.name}, {key}: {quote(value)} is not a finite number; "
                    "give it a grade such as 1.0"
                )
        elif key in _ROLES:
            valid[key] = _attribute_names(path, key, value, problems)
        else:
            problems.warning(f"{path.name}: unknown entry {quote(key)} not read")
    return valid


def _attribute_names(path: Path, role: str, value: Any, problems: Problems) -> frozenset[str]:
    """Return the attributes with one of `_ROLES`."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return frozenset(value)
    problems.error(
        f"{path.name}, {role}: {quote(value)} is not a list of texts; give the names of attributes "
        'such as ["colour"]'
    )
    return frozenset()


def _roles(settings: Mapping[str, Any], items: pa.Table, problems: Problems) -> AttributeRoles:
    """Return the roles of attributes; warn of attributes that no item has."""
    roles = AttributeRoles(**{role: settings[role] for role in _ROLES if role in settings})
    known = set(pc.unique(items["attributes"].combine_chunks().keys).to_pylist())
    for role in _ROLES:
        for name in sorted(getattr(roles, role) - known):
            problems.warning(
                f"{_INFO_FILE}, {role}: no item has the attribute {quote(name)}; correct the name, "
                "or ignore this warning if later items have the attribute"
            )
    return roles


def _resolve(
    settings: Mapping[str, Any],
    directory: Path,
    roles: AttributeRoles,
    judgments: pa.Table | None,
    problems: Problems,
) -> DatasetInfo:
    """Fill in the defaults of the settings.

    `relevant_from` defaults to the middle between `grade_min` and the highest grade. If all
    grades are `grade_min`, no item is relevant.
    """
    grade_min = settings.get("grade_min", 0.0)
    grades = judgments["grade"] if judgments is not None else pa.array([], NUMBER)
    lowest, highest = (
        grade_min if limit is None else limit for limit in pc.min_max(grades).as_py().values()
    )
    default = (grade_min + highest) / 2 if highest > grade_min else grade_min + 1.0
    relevant_from = settings.get("relevant_from", default)
    if len(grades) and highest == grade_min:
        problems.warning(
            f"judgments, column grade: all grades are {grade_min:g}, which is grade_min; no item "
            "counts as relevant, so nothing can be trained or measured on them"
        )
    elif len(grades) > 1 and lowest == highest:
        problems.warning(
            f"judgments, column grade: all grades are {highest:g}; add judgments of worse items, "
            "or judged-only metrics are 1 for every order"
        )
    if judgments is not None and relevant_from > highest > grade_min:
        problems.warning(
            f"{_INFO_FILE}, relevant_from: no grade reaches {relevant_from:g}, "
            f"the highest is {highest:g}; no item counts as relevant"
        )
    name = settings.get("name", directory.resolve().name)
    return DatasetInfo(name, grade_min, relevant_from, roles)


def _complete(raw: RawTable) -> pa.Table:
    """Return the table with all columns of its schema, then its other columns."""
    columns = {}
    for spec in raw.schema.columns:
        missing = pa.chunked_array([pa.nulls(len(raw.source.numbers), spec.type)])
        columns[spec.name] = raw.table[spec.name] if raw.has(spec.name) else missing
    others = [name for name in raw.table.column_names if name not in columns]
    table = pa.table(columns | {name: raw.table[name] for name in others})
    if raw.schema is EVENTS:
        table = _without_blank_ids(table)
    return complete_categories(table) if raw.schema is ITEMS else table


def _without_blank_ids(events: pa.Table) -> pa.Table:
    """Turn blank ids into nulls."""
    for name in OPTIONAL_IDS:
        blank = pc.equal(pc.utf8_trim_whitespace(events[name]), "")
        ids = pc.if_else(blank, pa.scalar(None, events[name].type), events[name])
        events = events.set_column(events.schema.get_field_index(name), name, ids)
    return events


def _not_after(
    latest: float, events: pa.Table, raw: RawTable, problems: Problems
) -> pa.ChunkedArray:
    """Return which events are not later than a time; add a warning about the others.

    One event of the next century would make all others too old to count.

    Args:
        latest: The time, in seconds since 1970.
        events: The events of `raw`.
        raw: The table as it was read.
        problems: Collects the warning.
    """
    kept = pc.less_equal(events["time"], pa.scalar(int(latest * 1e6), TIME))
    rows = true_rows(pc.invert(kept))
    if len(rows):
        first = events["time"][int(rows[0])].as_py()
        problems.warning(
            f"{raw.source.where(int(rows[0]))}, column time: {first:%Y-%m-%d} is in the future; "
            f"{len(rows):,} of {count(len(events), 'event')} left out"
        )
    return kept


def _of_known_items(
    table: pa.Table, items: pa.Table, raw: RawTable, problems: Problems
) -> pa.ChunkedArray:
    """Return which rows name an item; add a warning about the others."""
    known = pc.is_in(table["item_id"], value_set=items["item_id"])
    rows = true_rows(pc.invert(known))
    if not len(rows):
        return known
    unknown = table["item_id"].take(pa.array(rows))
    problems.warning(
        f"{raw.source.where(int(rows[0]))}, column item_id: {quote(unknown[0].as_py())} is not "
        f"among the items; {len(rows):,} of {count(len(table), raw.schema.name[:-1])}, of "
        f"{count(pc.count_distinct(unknown).as_py(), 'unknown item')}, left out"
    )
    return known


def _finish_judgments(table: pa.Table, raw: RawTable, problems: Problems) -> pa.Table:
    """Drop repeated judgments, and give every judgment a query id and a split."""
    queries = table["query"].combine_chunks()
    # Without ids, queries with the same normal form are one query.
    same = queries if raw.has("query_id") else map_queries(queries, normalise_query)
    first = first_of_equals(pair_codes(same, table["item_id"].combine_chunks()))
    is_first = first == np.arange(len(first))
    if not is_first.all():
        repeated = count(int((~is_first).sum()), "repeated judgment")
        problems.warning(f"{raw.source.file}: {repeated} left out")
        table = table.filter(pa.array(is_first))
        queries = table["query"].combine_chunks()
    # `check_judgments` made sure that each of these columns has all values or no values.
    for name, function in (("query_id", _query_id), ("split", split_of)):
        if table[name].null_count:
            position = table.column_names.index(name)
            table = table.set_column(position, name, map_queries(queries, function))
    return table


def _query_id(query: str) -> str:
    return "q" + hashlib.sha256(normalise_query(query).encode()).hexdigest()[:16]


def split_of(query: str) -> str:
    """Choose a query's split by a hash of its normalised text: 80% train, 10% dev, 10% test."""
    digest = hashlib.sha256(normalise_query(query).encode()).digest()
    bucket = int.from_bytes(digest[:8], "big") % 10
    return {8: "dev", 9: "test"}.get(bucket, "train")


def _fingerprint(paths: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        for file in parquet_files(path):
            with file.open("rb") as handle:
                content = hashlib.file_digest(handle, "sha256").hexdigest()
            whole.update(f"{file.relative_to(path.parent)} {content}\n".encode())
    return whole.hexdigest()
