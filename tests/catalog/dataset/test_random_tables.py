"""Random tables of all types that hold a price, a date, a flag or an id come back equal."""

import datetime
import decimal
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.dataset.reading import read_dataset

PRICES = {
    "float32": st.floats(0, 2**20, width=32),
    "float64": st.floats(0, 1e12),
    "int8": st.integers(0, 127),
    "int64": st.integers(0, 2**53),
    "decimal": st.integers(0, 10**9).map(lambda cents: decimal.Decimal(cents) / 100),
}
FLAGS = {"bool": st.booleans(), "int8": st.integers(0, 1), "float64": st.sampled_from([0.0, 1.0])}
DAYS = st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31))
RECENT = st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1))


def pyarrow_writer(path: Path, columns: dict[str, list[Any]]) -> None:
    pq.write_table(pa.table(columns), path)


def pandas_writer(path: Path, columns: dict[str, list[Any]]) -> None:
    pd.DataFrame(columns).to_parquet(path)


def polars_writer(path: Path, columns: dict[str, list[Any]]) -> None:
    pl.DataFrame(columns, strict=False).write_parquet(path)


def expected_price(value: Any, kind: str) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    # The double nearest to the shortest decimal form of a float32.
    return float(str(np.float32(value))) if kind == "float32" else float(value)


@pytest.mark.parametrize("write", [pyarrow_writer, pandas_writer, polars_writer])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_tables_come_back_equal(tmp_path_factory, write, data):
    kind = data.draw(st.sampled_from(sorted(PRICES)))
    flag_kind = data.draw(st.sampled_from(sorted(FLAGS)))
    size = data.draw(st.integers(1, 5))

    def rows(values: st.SearchStrategy[Any], *, gaps: bool = True) -> list[Any]:
        drawn = values | st.none() if gaps else values
        return data.draw(st.lists(drawn, min_size=size, max_size=size))

    gaps = data.draw(st.booleans())
    prices = rows(PRICES[kind], gaps=gaps)
    flags = rows(FLAGS[flag_kind], gaps=gaps)
    days = rows(DAYS if write is pyarrow_writer else RECENT, gaps=gaps)
    ids = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=size, max_size=size, unique=True))
    if kind == "float32":
        written: Any = np.array([math.nan if p is None else p for p in prices], np.float32)
    else:
        written = prices
    directory = tmp_path_factory.mktemp("table")
    columns = {"item_id": ids, "title": ["mug"] * size, "price": written, "in_stock": flags,
               "released": days}  # fmt: skip

    write(directory / "items.parquet", columns)

    items = read_dataset(directory).items
    assert items["item_id"].to_pylist() == list(map(str, ids))
    assert items["price"].to_pylist() == [expected_price(price, kind) for price in prices]
    assert items["in_stock"].to_pylist() == [None if f is None else bool(f) for f in flags]
    assert items["released"].to_pylist() == days
