"""A mapping file: the user's own format, which names a column for each field, in TOML."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from base.errors import InputError
from catalog.dataset.problems import quote
from catalog.importing.rules import (
    ATTRIBUTE,
    ATTRIBUTES,
    HELPERS,
    Format,
    Rule,
    TableRules,
    column_key,
    rows_of,
)
from catalog.schema import EVENTS, ITEMS, JUDGMENTS, Schema

_TABLES: Mapping[str, Schema] = {schema.name: schema for schema in (ITEMS, JUDGMENTS, EVENTS)}
_OPTIONS = ("column", "split", "levels", "values")


def read_mapping(path: Path) -> Format:
    """Read a mapping file.

    The file has a table `items`, and may have `judgments` and `events`. Each entry has the name of
    a field and a column, a list of columns, or a table with `column` and the options of a `Rule`.

    Raises:
        InputError: the file cannot be read, or has an unknown field or option.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as TOML ({error}); correct it") from None
    tables = []
    files = {}
    for name, entries in content.items():
        if name not in _TABLES or not isinstance(entries, dict):
            raise InputError(f"{path}: {quote(name)} is not a table; use {', '.join(_TABLES)}")
        schema = _TABLES[name]
        rules = tuple(_rules(path, schema, entries))
        given = {rule.target for rule in rules}
        missing = [c.name for c in schema.columns if c.required and c.name not in given]
        if missing:
            raise InputError(f"{path}, {name}: names no column for {', '.join(missing)}; add it")
        required = {c.name for c in schema.columns if c.required}
        keys = frozenset(rule.source for rule in rules if rule.target in required)
        # A key with a point is a column, or an entry of the object that its first part names.
        files[name] = (keys, frozenset(key.partition(".")[0] for key in keys))
        tables.append(TableRules(schema, rules, rows_of(name)))
    if ITEMS.name not in files:
        raise InputError(f"{path}: no table [items]; add it with item_id and title")
    return Format("mapping", f"mapping of {path.name}", files, tuple(tables))


def _rules(path: Path, schema: Schema, entries: Mapping[str, Any]) -> Iterator[Rule]:
    fields = [name for name in schema.names if name != "embedding"]
    fields += HELPERS if schema is ITEMS else ()
    for name, entry in entries.items():
        place = f"{path}, {schema.name}.{name}"
        if name not in fields:
            raise InputError(f"{place}: no such field; use one of {', '.join(fields)}")
        if name == ATTRIBUTES and isinstance(entry, dict) and not _is_options(entry):
            for attribute, inside in entry.items():
                yield from _several(f"{place}.{attribute}", ATTRIBUTE + attribute, inside)
        else:
            yield from _several(place, name, entry)


def _several(place: str, target: str, entry: Any) -> Iterator[Rule]:
    for one in entry if isinstance(entry, list) else [entry]:
        yield _rule(place, target, one)


def _is_options(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("column"), str) and set(entry) <= set(_OPTIONS)


def _rule(place: str, target: str, entry: Any) -> Rule:
    options = {"column": entry} if isinstance(entry, str) else entry
    if not isinstance(options, dict) or not _is_options(options):
        raise InputError(
            f"{place}: {quote(entry)} names no column; write the column's name, or a table with "
            f"{', '.join(_OPTIONS)}"
        )
    split, levels = options.get("split", ""), options.get("levels", "")
    replacements = options.get("values", {})
    if not isinstance(replacements, dict) or not all(isinstance(t, str) for t in (split, levels)):
        raise InputError(f"{place}: split and levels are texts, and values is a table; correct it")
    return Rule(
        target,
        column_key(options["column"]),
        split,
        levels,
        {text: str(value) for text, value in replacements.items()},
    )
