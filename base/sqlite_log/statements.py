"""SQL statements with any number of rows."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

# Maximum number of rows that one statement reads or writes. Each statement releases Python's
# interpreter lock, and then waits until the other threads release it. Therefore, writes with one
# statement per row were slow while searches ran.
_ROWS = 500
DIGEST_BYTES = 16

Row = TypeVar("Row")


def digest(content: str) -> bytes:
    """Return a short hash of a text; equal texts have equal hashes."""
    return hashlib.blake2b(content.encode(), digest_size=DIGEST_BYTES).digest()


def select_in(
    connection: sqlite3.Connection, query: str, values: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Run a query that ends in `IN` for any number of values, and yield its rows."""
    for part in _split(values):
        yield from connection.execute(f"{query} ({', '.join('?' * len(part))})", part).fetchall()


def insert(connection: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert any number of rows with a statement that ends before `VALUES`."""
    for part in _split(rows):
        placeholders = f"({', '.join('?' * len(part[0]))})"
        values = [value for row in part for value in row]
        connection.execute(f"{statement} VALUES {', '.join([placeholders] * len(part))}", values)


def _split(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]
