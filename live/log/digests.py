"""Digests that show whether anything but the log has changed its rows.

Each row of an item has a digest of its content. The table `log` has the content digest: the sum of
the digests of all rows, modulo 2^128. A transaction adds the digests of its new rows to the sum,
and subtracts the digests of the rows that it replaces or deletes. So the sum shows that a row is
missing, wherever the row was. A chain of digests could not show this, because the new row of an
item replaces its old row.
"""

import sqlite3
from collections.abc import Iterable
from typing import TypeAlias

from base.sqlite_log.file import CONTENT_COLUMN
from base.sqlite_log.statements import DIGEST_BYTES, digest
from live.log.curations import CurationRow

# A row of the table `items`: sequence, item id, fields, whether they are the whole item, and digest
ItemRow: TypeAlias = tuple[int, str, str | None, int, bytes]
# A row of the table `requests`: sequence, request id, and digest of the request
RequestRow: TypeAlias = tuple[int, str, bytes]

_MODULUS = 1 << 8 * DIGEST_BYTES
# This column of the table `items` has the digest of the row.
ITEM_COLUMN = "digest BLOB NOT NULL DEFAULT x''"


def item_digest(sequence: object, item_id: object, fields: object, whole: object) -> bytes:
    """Return the digest of a row of the table `items`. A damaged row can have other types."""
    # `fields` is JSON, which has no NUL character. So different rows give different texts.
    return digest(f"item {sequence} {whole!r} {item_id}\0{fields}")


def content_sum(rows: Iterable[ItemRow | CurationRow], requests: Iterable[RequestRow]) -> int:
    """Return the sum of the digests of some rows; each row but a request has its own digest."""
    total = sum(int.from_bytes(row[-1]) for row in rows)
    for sequence, request_id, request in requests:
        total += int.from_bytes(digest(f"request {sequence} {request_id}\0{request!r}"))
    return total


def content_digest(total: int) -> bytes:
    """Return the sum of the digests of all rows, in the form that the log stores."""
    return (total % _MODULUS).to_bytes(DIGEST_BYTES)


def add_digests(connection: sqlite3.Connection) -> None:
    """Add digests to the tables of format 1."""
    connection.create_function("item_digest", 4, item_digest, deterministic=True)
    connection.execute(f"ALTER TABLE items ADD COLUMN {ITEM_COLUMN}")
    connection.execute("UPDATE items SET digest = item_digest(sequence, item_id, fields, whole)")
    connection.execute(f"ALTER TABLE log ADD COLUMN {CONTENT_COLUMN}")
    items = connection.execute("SELECT * FROM items")
    requests = connection.execute("SELECT * FROM requests")
    content = content_digest(content_sum(items, requests))
    connection.execute("UPDATE log SET content = ?", (content,))
