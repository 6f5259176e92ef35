"""The type of a hand-made export, and what all of them share."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LONG = "word " * 40_000  # a cell of 200 kB
LONG_HTML = f"<div><p>Ünique &amp; long</p><!-- none --> {LONG}</div>"
LONG_TEXT = f"Ünique & long {LONG.strip()}"


@dataclass(frozen=True)
class MadeExport:
    """An export as messy as real ones, and every value that its import gives.

    `search` is a query, and the id of the item that it finds first.
    """

    files: Mapping[str, bytes]
    items: Sequence[Mapping[str, Any]]
    search: tuple[str, str]
    left_out: Mapping[str, int] = field(default_factory=dict)  # rows by reason
    unused: Sequence[str] = ()  # columns that fill no field
    judgments: Sequence[tuple[str, str, float]] = ()
    events: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, str] = field(default_factory=dict)  # of `import_exports`, by name
    mapping: str = ""  # content of the mapping file


def csv_text(rows: Sequence[Sequence[str]], delimiter: str = ",", end: str = "\r\n") -> str:
    """Return rows as csv; short rows are filled with blank cells."""
    text = io.StringIO()
    width = len(rows[0])
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([*row, *[""] * (width - len(row))] for row in rows)
    return text.getvalue()


def csv_of(records: Sequence[Mapping[str, str]], **form: str) -> str:
    """Return records as csv. The columns are all keys, in the order of their first record."""
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [[record.get(name, "") for name in names] for record in records]
    return csv_text([names, *rows], **form)


def json_lines(*records: Mapping[str, Any]) -> bytes:
    """Return one JSON object per line."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()
