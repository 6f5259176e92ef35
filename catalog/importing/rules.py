"""What a format consists of: how its files are recognised, and which column fills which field."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from catalog.schema import Schema

if TYPE_CHECKING:
    from catalog.importing.sources import Files

# Fields that an import computes other fields from.
LIST_PRICE = "list_price"  # the price before a discount; a higher one makes `price` a sale price
SALE_START = "sale_start"  # the time from which `sale_price` counts
SALE_END = "sale_end"  # the time until which `sale_price` counts
IMAGES = "images"  # addresses of images: the first is `image_url`, the others become an attribute
HELPERS = (LIST_PRICE, SALE_START, SALE_END, IMAGES)

ATTRIBUTES = "attributes"
CONTEXT = "context"  # the field of events with attributes of the moment
ATTRIBUTE = f"{ATTRIBUTES}."  # begins the name of the field of one attribute


def column_key(name: str) -> str:
    """Return the form in which columns are compared: `Image Link` and `g:image_link` are equal."""
    return re.sub(r"[\s\-]+", "_", name.strip().lower()).removeprefix("g:")


class Repeated(list[str]):
    """The different cells of a column that occurs several times in a file."""


@dataclass(frozen=True)
class Row:
    """One record of an export."""

    place: str  # file and line, row or record, such as `feed.tsv, line 7`
    cells: dict[str, Any]  # by the column's key, see `column_key`; no cell is blank

    def get(self, source: str) -> Any:
        """Return a cell; None if it is blank. `a.b` names the entry `b` of the JSON object `a`."""
        if source in self.cells or "." not in source:
            return self.cells.get(source)
        value: Any = self.cells
        for key in source.split("."):
            entries = value.items() if isinstance(value, dict) else ()
            value = next((entry for name, entry in entries if column_key(name) == key), None)
        return value

    def text(self, source: str) -> str:
        """Return a cell as text; "" if it is blank."""
        value = self.get(source)
        return "" if value is None else str(value).strip()

    def with_cells(self, cells: Mapping[str, Any]) -> "Row":
        """Return the row with some cells replaced or added."""
        return Row(self.place, {**self.cells, **cells})


@dataclass(frozen=True)
class Rule:
    """One column of an export, and the field that it fills.

    Several rules may fill the same field. A list, a map or a description takes the values of all of
    them. Another field takes the value of the first rule whose cell is not blank.
    """

    target: str  # the field: a column of the table, one of HELPERS, or `attributes.` and a name
    source: str  # key of the column
    split: str = ""  # separates several values in one cell; "": a cell has one value
    levels: str = ""  # separates the levels of a category; "": found in each cell
    values: Mapping[str, str] = field(default_factory=dict)  # replacements of whole texts


def rules(**columns: str | Sequence[str]) -> tuple[Rule, ...]:
    """Return rules without options: for each field, the key of a column or several keys."""
    return tuple(
        Rule(name, key)
        for name, keys in columns.items()
        for key in ([keys] if isinstance(keys, str) else keys)
    )


def attribute_rules(*keys: str, split: str = "") -> tuple[Rule, ...]:
    """Return rules for columns that become attributes of the same name."""
    return tuple(Rule(ATTRIBUTE + key.replace("_", " "), key, split=split) for key in keys)


@dataclass(frozen=True)
class TableRules:
    """How a format fills one table of a dataset."""

    schema: Schema
    rules: tuple[Rule, ...]
    rows: Callable[["Files"], Iterator[Row]]  # the records of the files, joined where necessary


@dataclass(frozen=True)
class Format:
    """One kind of export, which may consist of several files."""

    name: str  # the name for `--format`
    title: str  # what the user knows the format as
    # role of a file -> keys of columns that only such a file has; a file has all of one set
    files: Mapping[str, Sequence[frozenset[str]]]
    tables: tuple[TableRules, ...]
    reads: str = "(?!)"  # regular expression of further columns, which `TableRules.rows` reads
    info: Mapping[str, Any] = field(default_factory=dict)  # entries of `dataset.json`

    @property
    def sources(self) -> frozenset[str]:
        """The keys of all columns of the format that can be in the header of a csv file."""
        keys = {rule.source for table in self.tables for rule in table.rules}
        return frozenset(keys.union(*(s for sets in self.files.values() for s in sets)))


def rows_of(role: str) -> Callable[["Files"], Iterator[Row]]:
    """Return a function that yields the records of the files of one role, as they are."""
    return lambda files: files.rows(role)


def columns(*keys: str) -> frozenset[str]:
    """Return a set of keys of columns."""
    return frozenset(keys)
