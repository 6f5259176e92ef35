"""Contestants of the filter benchmark.

A search receives a query and a filter's condition. All work that depends on the condition is part
of the search. For Shortlist, faiss and NumPy, this work includes the mask of the items that pass.
LanceDB finds these items with indexes of its columns. usearch and hnswlib are not compared: the
Python interface of usearch takes no filter, and hnswlib calls a Python function for each node.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.index.filters.conditions import FilterCondition, Filters, nearest_among
from bench.index.ours import built_index
from bench.index.peers import RESCORED, base_of, faiss_visits, open_faiss
from bench.index.tuning import Effort, OpenIndex, Rows, Search, ladder
from search.channels import filtered
from towers.index import open_index
from towers.sketch import open_sketch
from towers.vectors import open_vectors

_CHUNK = 20_000  # items that LanceDB stores at a time


def ours(directory: Path, file: Path, k: int, queries: np.ndarray) -> OpenIndex:
    """Open our index with its sketch; the search chooses its plan by the number of items."""
    filters = Filters(directory, np.load(file, mmap_mode="r"))
    built = built_index(directory, file, queries, k, "bfloat16")
    index, vectors = open_index(built), open_vectors(built)
    sketch = open_sketch(built, vectors, queries)

    def search(query: np.ndarray, condition: FilterCondition) -> Rows:
        mask = filters.mask(condition)
        return filtered.nearest(index, sketch, vectors, query, k, mask).rows

    size = sum(path.stat().st_size for path in built.iterdir())
    return OpenIndex(lambda _: search, [0], size)


def scan(directory: Path, file: Path, k: int) -> OpenIndex:
    """Compare the query with all items that pass, in NumPy."""
    stored = np.load(file)
    filters = Filters(directory, stored)

    def search(query: np.ndarray, condition: FilterCondition) -> Rows:
        rows = np.flatnonzero(filters.mask(condition))
        return nearest_among(rows, stored[rows] @ query, k)

    return OpenIndex(lambda _: search, [0], stored.nbytes)


def faiss_index(directory: Path, file: Path, k: int, kind: str) -> OpenIndex:
    """Open an index of faiss, whose search takes a bitmap of the items that pass."""
    import faiss

    filters = Filters(directory, np.load(file, mmap_mode="r"))
    index, built = open_faiss(directory, file, kind)
    inner = base_of(index)

    def options(effort: Effort, selector: Any) -> Any:
        if hasattr(inner, "hnsw"):
            return faiss.SearchParametersHNSW(sel=selector, efSearch=effort.visits)
        partitions = faiss.SearchParametersIVF(sel=selector, nprobe=effort.visits)
        if inner is index:
            return partitions
        return faiss.IndexRefineSearchParameters(
            k_factor=effort.rescored, base_index_params=partitions
        )

    def configure(effort: Effort) -> Search:
        def search(query: np.ndarray, condition: FilterCondition) -> Rows:
            bits = np.packbits(filters.mask(condition), bitorder="little")
            params = options(effort, faiss.IDSelectorBitmap(bits))
            rows: Rows = index.search(query[None], k, params=params)[1][0]
            return rows

        return search

    rescored = (1.0,) if inner is index else RESCORED
    return OpenIndex(configure, faiss_visits(inner), built.stat().st_size, rescored)


def lancedb_index(directory: Path, file: Path, k: int) -> OpenIndex:
    """Open a table of LanceDB with an index of vectors and indexes of both filtered columns."""
    import lancedb

    stored, built = np.load(file, mmap_mode="r"), directory / "lancedb"
    partitions = round(len(stored) ** 0.5)
    database = lancedb.connect(str(built))
    if not (built / "done").is_file():
        _build_lancedb(database, stored, Filters(directory, stored), partitions)
        (built / "done").touch()
    table = database.open_table("items")

    def configure(effort: Effort) -> Search:
        def search(query: np.ndarray, condition: FilterCondition) -> Rows:
            request = table.search(query).distance_type("dot")
            request = request.where(_where(condition), prefilter=True)
            request = request.nprobes(effort.visits).refine_factor(int(effort.rescored))
            found = request.select(["row", "_distance"]).limit(k).to_arrow()
            rows: Rows = found["row"].to_numpy()
            return rows

        return search

    size = sum(path.stat().st_size for path in built.rglob("*") if path.is_file())
    return OpenIndex(configure, ladder(partitions, 8, 1.5), size, (5.0, 10.0, 20.0))


def _where(condition: FilterCondition) -> str:
    """Return the condition in SQL."""
    where = f"number < {condition.below!r}"
    if condition.partial_cell >= 0:
        where = f"(cell = {condition.partial_cell} AND {where})"
    if len(condition.whole_cells):
        where += f" OR cell IN ({', '.join(map(str, condition.whole_cells))})"
    return where


def _build_lancedb(database: Any, stored: np.ndarray, filters: Filters, partitions: int) -> None:
    import pyarrow as pa

    fields = [
        pa.field("vector", pa.list_(pa.float32(), stored.shape[1])),
        pa.field("row", pa.int32()),
        pa.field("cell", pa.int32()),
        pa.field("number", pa.float64()),
    ]

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(stored), _CHUNK):
            part = slice(start, min(start + _CHUNK, len(stored)))
            values = pa.array(np.asarray(stored[part]).ravel())
            columns = [
                pa.FixedSizeListArray.from_arrays(values, stored.shape[1]),
                pa.array(np.arange(part.start, part.stop, dtype=np.int32)),
                pa.array(filters.cell[part]),
                pa.array(filters.number[part]),
            ]
            yield pa.record_batch(columns, schema=pa.schema(fields))

    table = database.create_table("items", batches(), schema=pa.schema(fields), mode="overwrite")
    table.create_index(
        metric="dot", num_partitions=partitions, num_sub_vectors=96, index_type="IVF_PQ"
    )
    table.create_scalar_index("cell", index_type="BITMAP")
    table.create_scalar_index("number", index_type="BTREE")
