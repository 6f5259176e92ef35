"""Write made exports, import them, and read the dataset as training does."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog.dataset.reading import read_dataset
from catalog.importing.importer import import_exports
from catalog.importing.report import Report

NOW = datetime.datetime(2024, 6, 15, 12, tzinfo=datetime.UTC)


def write(folder: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [folder / name for name in files]


def run(folder: Path, files: Mapping[str, str | bytes], **options: Any) -> Report:
    """Import made files to the directory `dataset`; any share of bad rows is accepted."""
    options = {"now": NOW, "max_bad_share": 1.0} | options
    return import_exports(write(folder, files), folder / "dataset", **options)


def table(folder: Path, name: str = "items") -> list[dict[str, Any]]:
    """Return the rows of a table without their missing values; attributes are lists of pairs."""
    rows = getattr(read_dataset(folder / "dataset"), name).to_pylist()
    return [{k: v for k, v in row.items() if v is not None and v != []} for row in rows]


def items(folder: Path, files: Mapping[str, str | bytes], **options: Any) -> list[dict[str, Any]]:
    run(folder, files, **options)
    return table(folder)
