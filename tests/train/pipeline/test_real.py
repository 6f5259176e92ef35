"""Checks of the real datasets that take seconds."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from catalog.dataset.reading import read_dataset
from catalog.store import ItemStore
from train.cli.main import main
from train.data.relevance import relevance_of
from train.evaluation.report import judged_queries

pytestmark = [pytest.mark.slow, pytest.mark.real]


def test_home_depot_s_judgments_are_graded_pairs_of_its_items(real_data):
    dataset = read_dataset(real_data("homedepot"))
    store = ItemStore(dataset.items)
    found = relevance_of(dataset, store)
    tested = pc.equal(dataset.judgments["split"], "test")
    assert len(found.grade) == dataset.judgments.num_rows - pc.sum(tested).as_py()
    assert (found.item >= 0).all()
    assert (found.gain >= 0).all()
    assert (np.diff(found.query) >= 0).all()
    assert len(found.only("train").queries) > 5 * len(found.only("dev").queries) > 2_000
    # Compare the grades of one query with the rows of the dataset.
    row = dataset.judgments.slice(1_000, 1).to_pylist()[0]
    of_query = dataset.judgments.filter(pc.equal(dataset.judgments["query_id"], row["query_id"]))
    expected = {store.row(r["item_id"]): r["grade"] for r in of_query.to_pylist()}
    number = next(
        n for n, q in enumerate(found.queries) if q == " ".join(row["query"].lower().split())
    )
    pairs = found.pairs_of(number)
    grades = dict(zip(found.item[pairs].tolist(), found.grade[pairs].tolist(), strict=True))
    assert grades == pytest.approx(expected)


def test_icecat_s_judgments_are_for_testing_alone(real_data):
    dataset = read_dataset(real_data("icecat"))
    assert relevance_of(dataset, ItemStore(dataset.items)) is None
    assert judged_queries(dataset, "test")


def test_a_corner_of_home_depot_trains(real_data, flags, shared_cache, tmp_path):
    source = real_data("homedepot")
    dataset = read_dataset(source)
    queries = [
        query.query_id for split in ("train", "dev", "test")
        for query in judged_queries(dataset, split)[:20]
    ]  # fmt: skip
    chosen = pc.is_in(dataset.judgments["query_id"], value_set=pa.array(queries, pa.large_string()))
    judgments = dataset.judgments.filter(chosen)
    items = dataset.items.filter(pc.is_in(dataset.items["item_id"], value_set=judgments["item_id"]))
    corner, out = tmp_path / "corner", tmp_path / "out"
    corner.mkdir()
    pq.write_table(judgments, corner / "judgments.parquet")
    pq.write_table(items, corner / "items.parquet")
    (corner / "dataset.json").write_bytes((source / "dataset.json").read_bytes())
    assert main(["towers", *flags(corner, out, "--towers-fit.epochs", "1")]) == 0
    report = json.loads((out / "steps" / "towers" / "step.json").read_text())["report"]
    assert report["pairs"] > 50
    assert report["step"] >= 1
