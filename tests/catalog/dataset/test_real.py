"""The real datasets are valid."""

import pyarrow as pa
import pytest

from catalog.dataset.reading import read_dataset
from catalog.schema import NUMBER, TEXT
from catalog.store import ItemStore

pytestmark = pytest.mark.real


def test_home_depot_is_valid(real_data):
    found = read_dataset(real_data("homedepot"))

    assert len(found.items) == 54_667
    assert found.info.grade_min == 1.0
    assert found.info.relevant_from == 2.33
    splits = found.judgments["split"].value_counts().to_pylist()
    assert {s["values"]: s["counts"] for s in splits} == {
        "train": 53_383,
        "dev": 5_843,
        "test": 7_666,
    }
    [markup] = found.warnings
    assert "1 row with HTML such as '&nbsp;'" in markup


def test_icecat_is_valid_and_its_attributes_are_text(real_data):
    found = read_dataset(real_data("icecat"))

    assert len(found.items) == 19_406
    assert len(found.judgments) == 1_794
    store = ItemStore(found.items)
    assert store.item(store.row("2101957")).attributes["display_diagonal"] == "17"
    assert found.items.schema.field("attributes").type == pa.map_(TEXT, TEXT)


def test_online_retail_is_valid_but_for_one_unknown_column(real_data):
    found = read_dataset(real_data("online_retail"))

    assert len(found.items) == 3_659
    assert len(found.events) == 332_302
    assert found.events["price"].type == NUMBER
    assert found.events["quantity"].type == NUMBER
    assert found.warnings == ("events.parquet: 1 unknown column not read: 'country'",)
