import datetime

import numpy as np
import pyarrow as pa
import pytest

from base.errors import InputError
from catalog.items import Item
from catalog.schema import ITEMS
from catalog.store import ItemStore

FULL = Item(
    item_id="a",
    title="Drill",
    description="Drills holes.",
    brand="Bosch",
    category="Tools > Drills",
    group_id="g",
    price=12.5,
    rating=4.5,
    rating_count=3,
    released=datetime.date(1970, 1, 11),
    in_stock=True,
    image_url="http://example.com/a.jpg",
    attributes={"colour": "green", "size": ("S", "M")},
    identifiers=("4006381333931", "VX-65"),
    categories=("Tools > Drills", "Sale"),
    url="http://example.com/a",
    currency="EUR",
    sale_price=9.5,
    language="de",
)


@pytest.fixture
def store() -> ItemStore:
    attributes = [("colour", "green"), ("size", "S"), ("size", "M"), ("weight", None)]
    row = {**vars(FULL), "attributes": attributes, "embedding": [0.5]}
    rows = [row, {"item_id": "b", "title": "Saw", "in_stock": False}]
    return ItemStore(pa.Table.from_pylist(rows, schema=ITEMS.arrow))


def test_items_are_found_by_row_and_by_id(store):
    assert len(store) == 2
    assert list(store.ids) == ["a", "b"]
    assert store.row("b") == 1
    assert store.rows(["b", "nobody", "a", "b"]).tolist() == [1, -1, 0, 1]
    assert store.rows([]).dtype == np.int32
    assert store.row("nobody") == -1


def test_an_item_has_the_values_of_its_row(store):
    assert store.item(0) == FULL
    assert store.item(1) == Item("b", "Saw", in_stock=False)


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_that_does_not_exist_is_refused(store, row):
    with pytest.raises(IndexError, match="of 2 items"):
        store.item(row)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("price", [12.5, np.nan]),
        ("rating", [4.5, np.nan]),
        ("rating_count", [3, np.nan]),
        ("in_stock", [1, 0]),
        ("released", [10, np.nan]),  # days since 1970-01-01
    ],
)
def test_numeric_columns_have_nan_for_missing_values(store, column, expected):
    numbers = store.number(column)

    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, expected)
    assert not numbers.flags.writeable


def test_text_columns_have_none_for_missing_values(store):
    assert store.text("title") == ["Drill", "Saw"]
    assert store.text("brand") == ["Bosch", None]


def test_columns_of_another_kind_are_refused(store):
    with pytest.raises(KeyError):
        store.number("title")
    with pytest.raises(KeyError):
        store.text("price")


def test_a_written_store_reads_back_equal(store, tmp_path):
    store.write(tmp_path / "items.parquet")

    again = ItemStore.read(tmp_path / "items.parquet")

    assert again.table.equals(store.table)
    assert again.item(0) == FULL


def test_optional_columns_may_be_absent_from_the_table():
    store = ItemStore(pa.table({"item_id": ["1"], "title": ["Saw"]}))

    assert store.item(0) == Item("1", "Saw")
    assert np.isnan(store.number("price")).all()


def test_a_store_may_be_empty():
    store = ItemStore(ITEMS.arrow.empty_table())

    assert len(store) == 0
    assert store.number("price").shape == (0,)
    assert store.text("title") == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": ["1"]}, "column title: missing"),
        ({"item_id": ["1", "1"], "title": ["Saw", "Drill"]}, "missing or repeated"),
        ({"item_id": [None], "title": ["Saw"]}, "missing or repeated"),
        ({"item_id": ["1"], "title": ["Saw"], "price": ["dear"]}, "column price"),
    ],
)
def test_a_table_that_is_not_a_table_of_items_is_refused(columns, message):
    with pytest.raises(InputError, match=message):
        ItemStore(pa.table(columns))


def test_reading_a_missing_or_damaged_file_names_it(tmp_path):
    path = tmp_path / "items.parquet"
    with pytest.raises(InputError, match=r"items\.parquet: cannot be read"):
        ItemStore.read(path)
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"items\.parquet: not a readable parquet file"):
        ItemStore.read(path)


def test_a_store_returns_the_items_it_was_built_from(tmp_path):
    items = [FULL, Item("b", "Saw", price=0.0, in_stock=False), Item("ü", "充电器 🔌")]
    store = ItemStore.of(items)
    assert [store.item(row) for row in range(3)] == items
    assert store.rows(["ü", "a"]).tolist() == [2, 0]
    np.testing.assert_array_equal(store.number("price"), np.array([12.5, 0, np.nan], np.float32))
    store.write(tmp_path / "items.parquet")
    assert [ItemStore.read(tmp_path / "items.parquet").item(row) for row in range(3)] == items


def test_a_store_of_no_items_is_empty():
    assert len(ItemStore.of([])) == 0
    assert ItemStore.of([]).text("title") == []


@pytest.mark.parametrize("ids", [("a", "a"), ("a", ""), ("",)])
def test_items_without_a_unique_id_are_refused(ids):
    with pytest.raises(InputError, match="missing or repeated"):
        ItemStore.of([Item(item_id, "Saw") for item_id in ids])


def test_the_number_of_an_attribute_is_its_first_plain_number():
    values = ["5", ("many", "7", "-1.5"), ("9", "8"), "8 W", None]
    for chosen in (values, values[:1] + values[3:]):  # with and without several values
        items = [
            Item(str(n), "t", attributes={"watt": v} if v else {}) for n, v in enumerate(chosen)
        ]
        expected = [[5, 7, 9, np.nan, np.nan][values.index(value)] for value in chosen]
        numbers = ItemStore.of(items).fields.numbers("attributes.watt")
        np.testing.assert_array_equal(numbers, expected)
