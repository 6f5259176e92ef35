"""Write a table as another tool would, and read it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.dataset.reading import read_dataset


def write_parquet(directory: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, directory / "items.parquet", **options)
    return directory


def write_text(directory: Path, name: str, text: str) -> Path:
    (directory / name).write_text(text, encoding="utf-8")
    return directory


def column(directory: Path, name: str) -> list[Any]:
    values: list[Any] = read_dataset(directory).items[name].to_pylist()
    return values


def items_with(**columns: Any) -> pa.Table:
    size = len(next(iter(columns.values())))
    ids = {"item_id": [f"i{row}" for row in range(size)], "title": ["mug"] * size}
    return pa.table(ids | columns)
