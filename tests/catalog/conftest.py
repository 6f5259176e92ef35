"""Write small dataset directories in every format."""

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from base.errors import InputError
from catalog.dataset.reading import DatasetError, read_dataset

Rows = Sequence[Mapping[str, Any]]

TWO_ITEMS: Rows = ({"item_id": "1", "title": "Saw"}, {"item_id": "2", "title": "Drill"})


def write_rows(path: Path, rows: Rows) -> None:
    if path.suffix == ".csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([[_cell(row.get(name)) for name in names] for row in rows])
    elif path.suffix == ".parquet":
        pq.write_table(_arrow(rows), path)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _arrow(rows: Rows) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    if "attributes" in table.column_names:  # not a struct, which Arrow would infer
        pairs = [None if v is None else list(v.items()) for v in (r["attributes"] for r in rows)]
        column = pa.array(pairs, pa.map_(pa.string(), pa.string()))
        table = table.set_column(table.column_names.index("attributes"), "attributes", column)
    return table


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write tables, and `info` as dataset.json. By default, the items are a saw and a drill."""

    def write(suffix: str = ".jsonl", info: Any = None, **tables: Rows) -> Path:
        for name, rows in {"items": TWO_ITEMS, **tables}.items():
            write_rows(tmp_path / (name + suffix), rows)
        if info is not None:
            (tmp_path / "dataset.json").write_text(json.dumps(info), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def problems_of() -> Callable[[Path], tuple[str, ...]]:
    """Read an invalid dataset and return its errors."""

    def read(directory: Path) -> tuple[str, ...]:
        with pytest.raises(InputError) as caught:
            read_dataset(directory)
        assert isinstance(caught.value, DatasetError)
        return caught.value.problems

    return read


@pytest.fixture
def only_problem_of(problems_of) -> Callable[[Path], str]:
    """Read a dataset that has one error and return the error."""

    def read(directory: Path) -> str:
        (problem,) = problems_of(directory)
        return problem

    return read
