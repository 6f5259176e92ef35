"""Shortlist's own tables: to clean a dataset, or to join it with files of another format."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from catalog.importing.rules import ATTRIBUTES, CONTEXT, Format, Row, Rule, TableRules, columns
from catalog.importing.sources import Files
from catalog.schema import EVENTS, ITEMS, JUDGMENTS, Schema

_MAPS = (ATTRIBUTES, CONTEXT, "identifiers", "categories")  # in a csv, these are JSON text


def _rows(role: str) -> Callable[[Files], Iterator[Row]]:
    def rows(files: Files) -> Iterator[Row]:
        for row in files.rows(role):
            decoded = {name: _decoded(row.cells[name]) for name in _MAPS if name in row.cells}
            yield row.with_cells(decoded)

    return rows


def _decoded(cell: Any) -> Any:
    """Return the JSON value of a csv cell, and a map of parquet as a map of lists."""
    if isinstance(cell, str) and cell.lstrip().startswith(("{", "[")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    if isinstance(cell, list) and cell and isinstance(cell[0], tuple):
        values: dict[str, list[Any]] = {}
        for name, value in cell:
            values.setdefault(name, []).append(value)
        return values
    return cell


def _table(schema: Schema) -> TableRules:
    names = [name for name in schema.names if name != "embedding"]
    return TableRules(schema, tuple(Rule(name, name) for name in names), _rows(schema.name))


FORMAT = Format(
    "shortlist",
    "tables of a dataset of Shortlist",
    {
        "items": (columns("item_id", "title"),),
        "judgments": (columns("query", "item_id", "grade"),),
        "events": (columns("time", "item_id", "type"),),
    },
    tuple(map(_table, (ITEMS, JUDGMENTS, EVENTS))),
)
