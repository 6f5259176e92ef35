"""Valid datasets: their tables and warnings."""

import datetime
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.attribute_roles import AttributeRoles
from catalog.dataset.reading import read_dataset
from catalog.schema import EVENTS, ITEMS, JUDGMENTS
from catalog.store import ItemStore
from tests.tiny import sample_fields

UTC = datetime.UTC
FORMATS = [".parquet", ".jsonl", ".jsonl.gz", ".csv"]

FULL_ITEM = sample_fields(without=("released",)) | {
    "item_id": "ü-1",
    "title": 'Säge, 18" 锯 🪚',
    "description": "First line.\nSecond line.",
    "brand": "Bosch",
    "category": "Tools > Saws",
    "categories": ["Tools > Saws", "Garden"],
    "identifiers": ["4006381333931", "VX-65"],
    "group_id": "g1",
    "price": 12.5,
    "rating": 5.0,
    "rating_count": 3,
    "in_stock": True,
    "image_url": "http://example.com/1.jpg",
    "attributes": {"colour": "green", "weight": "3 kg"},
    "embedding": [0.5, -1.0],
}
BARE_ITEM = dict.fromkeys(FULL_ITEM) | {"item_id": "2", "title": "Drill"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_items(dataset, suffix):
    directory = dataset(suffix, items=[FULL_ITEM, BARE_ITEM])

    found = read_dataset(directory)

    assert found.items.schema.equals(ITEMS.arrow)
    expected = FULL_ITEM | {"attributes": [*FULL_ITEM["attributes"].items()], "released": None}
    assert found.items.to_pylist() == [expected, BARE_ITEM | {"released": None}]
    assert found.warnings == ()
    assert found.judgments is None
    assert found.events is None
    assert found.users is None


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_dates_and_times_are_iso_8601_text(dataset, suffix):
    times = [
        "2024-01-31T09:30:00Z",
        "2024-01-31T11:30:00.000000123+02:00",
        "2024-01-31 09:30:00",
        "2024-01-31 10:30+01",
    ]
    item = {"item_id": "1", "title": "Saw", "released": "2024-02-29"}
    events = [{"time": time, "item_id": "1", "type": "click"} for time in times]

    found = read_dataset(dataset(suffix, items=[item], events=events))

    assert found.items["released"].to_pylist() == [datetime.date(2024, 2, 29)]
    moment = datetime.datetime(2024, 1, 31, 9, 30, tzinfo=UTC)
    assert found.events["time"].to_pylist() == [moment] * 4
    assert found.events.schema.equals(EVENTS.arrow)


def test_equivalent_parquet_types_are_converted(tmp_path):
    noon = datetime.datetime(2024, 1, 31, 12)
    items = pa.table(
        {
            "item_id": pa.array(["1", "2"]).dictionary_encode(),
            "title": pa.array(["Saw", "Drill"], pa.string_view()),
            "price": pa.array([3, None], pa.int16()),
            "rating": pa.array([4.5, np.nan], pa.float32()),
            "rating_count": pa.array([7.0, np.nan], pa.float64()),
            "released": pa.array([noon, None], pa.timestamp("ns")),
            "brand": pa.nulls(2),
            "embedding": pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)),
        }
    )
    zoned = pa.array([noon], pa.timestamp("ms", "America/New_York"))
    pq.write_table(items, tmp_path / "items.parquet")
    pq.write_table(
        pa.table({"time": zoned, "item_id": ["1"], "type": ["click"]}), tmp_path / "events.parquet"
    )

    found = read_dataset(tmp_path)

    rows = found.items.select(["item_id", "title", "price", "rating", "rating_count"]).to_pylist()
    assert [list(row.values()) for row in rows] == [
        ["1", "Saw", 3.0, 4.5, 7],
        ["2", "Drill", None, None, None],
    ]
    assert found.items["released"].to_pylist() == [datetime.date(2024, 1, 31), None]
    assert found.items["embedding"].to_pylist() == [[1.0, 2.0], None]
    assert found.items.schema.equals(ITEMS.arrow)
    assert found.events["time"].to_pylist() == [noon.replace(tzinfo=UTC)]


def test_a_csv_written_by_a_spreadsheet_is_read(tmp_path):
    lines = ["\ufeffitem_id,title,price,rating_count,in_stock", "1,Saw, 3 ,2.0,TRUE", ""]
    text = "\r\n".join([*lines, "2,Drill,nan,,0"])
    (tmp_path / "items.csv").write_text(text, encoding="utf-8", newline="")

    items = read_dataset(tmp_path).items

    assert items["price"].to_pylist() == [3.0, None]
    assert items["rating_count"].to_pylist() == [2, None]
    assert items["in_stock"].to_pylist() == [True, False]


def test_rows_keep_the_order_of_the_file(dataset):
    ids = [str(n * 7 % 101) for n in range(101)]
    items = [{"item_id": i, "title": "Saw"} for i in ids]
    judgments = [{"query": f"q{i}", "item_id": i, "grade": 1} for i in reversed(ids)]

    found = read_dataset(dataset(items=items, judgments=judgments))

    assert found.items["item_id"].to_pylist() == ids
    assert found.judgments["item_id"].to_pylist() == ids[::-1]


def test_the_info_file_may_be_absent(dataset):
    directory = dataset(judgments=[{"query": "saw", "item_id": "1", "grade": 3}])

    info = read_dataset(directory).info

    assert info.name == directory.name
    assert info.grade_min == 0.0
    assert info.relevant_from == 1.5  # the middle between 0 and the highest grade, 3


def test_the_info_file_sets_name_and_grades(dataset):
    judgments = [{"query": "saw", "item_id": "1", "grade": 3}]
    found = read_dataset(dataset(info={"name": "Shop", "grade_min": 1}, judgments=judgments))
    assert (found.info.name, found.info.grade_min) == ("Shop", 1.0)
    assert found.info.relevant_from == 2.0  # the middle between 1 and the highest grade

    found = read_dataset(dataset(info={"relevant_from": 2.5}, judgments=judgments))
    assert found.info.relevant_from == 2.5


def test_missing_query_ids_and_splits_are_filled_in(dataset):
    queries = ["Saw", " saw ", "drill", "drill"]
    judgments = [
        {"query": query, "item_id": item_id, "grade": 1.0}
        for query, item_id in zip(queries, ["1", "2", "1", "2"], strict=True)
    ]

    found = read_dataset(dataset(judgments=judgments)).judgments

    assert found.schema.equals(JUDGMENTS.arrow)
    ids = found["query_id"].to_pylist()
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert len(set(ids)) == 2
    splits = found["split"].to_pylist()
    # "Saw" and " saw " are the same query for the models.
    assert splits[0] == splits[1]
    assert splits[2] == splits[3]


def test_hashed_splits_are_eighty_ten_ten(dataset):
    judgments = [{"query": f"query {n}", "item_id": "1", "grade": 1} for n in range(2_000)]

    splits = read_dataset(dataset(judgments=judgments)).judgments["split"].to_pylist()

    # Four standard deviations of the binomial distribution are 72 for 80%, and 54 for 10%.
    assert splits.count("train") == pytest.approx(1600, abs=72)
    assert splits.count("dev") == pytest.approx(200, abs=54)
    assert splits.count("test") == pytest.approx(200, abs=54)


def test_existing_query_ids_and_splits_are_kept(dataset):
    row = {"query": "saw", "item_id": "1", "grade": 1, "query_id": "q9", "split": "dev"}

    found = read_dataset(dataset(judgments=[row])).judgments

    assert found.to_pylist() == [row]


def test_judgments_and_events_of_unknown_items_are_counted_and_left_out(dataset):
    judgments = [
        {"query": "saw", "item_id": item_id, "grade": grade}
        for grade, item_id in enumerate(["1", "7", "2", "8"])
    ] + [{"query": "drill", "item_id": "7", "grade": 1}]
    events = [
        {"time": "2024-01-31T09:30:00Z", "item_id": item_id, "type": "click"}
        for item_id in ["9", "2"]
    ]

    found = read_dataset(dataset(judgments=judgments, events=events))

    assert found.judgments["item_id"].to_pylist() == ["1", "2"]
    assert found.events["item_id"].to_pylist() == ["2"]
    judgment, event = found.warnings
    assert judgment.startswith(
        "judgments.jsonl, line 2, column item_id: '7' is not among the items"
    )
    assert "3 of 5 judgments, of 2 unknown items, left out" in judgment
    assert event.startswith("events.jsonl, line 1, column item_id: '9'")
    assert "1 of 2 events, of 1 unknown item, left out" in event


def test_events_of_the_future_are_counted_and_left_out(dataset):
    """The clock of the reader is at 2024-01-30, 09:30, and clocks may be fast by a day."""
    times = ["2224-01-31T00:00:00Z", "2024-01-31T09:30:00Z", "2024-01-31T09:30:01Z", "2024-01-01"]
    events = [{"time": time, "item_id": "2", "type": "click"} for time in times]
    events.append({"time": "2023-01-01", "item_id": "9", "type": "click"})
    now = datetime.datetime(2024, 1, 30, 9, 30, tzinfo=datetime.UTC).timestamp()
    found = read_dataset(dataset(events=events), clock=lambda: now)
    assert [time.day for time in found.events["time"].to_pylist()] == [31, 1]
    unknown, future = found.warnings
    assert unknown.startswith("events.jsonl, line 5, column item_id: '9'")
    assert future == (
        "events.jsonl, line 1, column time: 2224-01-31 is in the future; 2 of 5 events left out"
    )


def test_identical_judgments_are_kept_once_and_counted(dataset):
    rows = [("saw", "1", 2.0), ("saw", "2", 1.0), ("saw", "1", 2.0), ("saw", "1", 2.0)]
    judgments = [{"query": q, "item_id": i, "grade": g} for q, i, g in rows]

    found = read_dataset(dataset(judgments=judgments))

    assert found.judgments["item_id"].to_pylist() == ["1", "2"]
    assert found.warnings == ("judgments.jsonl: 2 repeated judgments left out",)


@pytest.mark.parametrize("suffix", FORMATS)
def test_unknown_columns_are_named_and_not_read(dataset, suffix):
    directory = dataset(suffix, items=[{"item_id": "1", "title": "Saw", "colour": "red", "x y": 1}])

    found = read_dataset(directory)

    assert found.items.column_names == list(ITEMS.names)
    assert found.warnings == (f"items{suffix}: 2 unknown columns not read: 'colour', 'x y'",)


def test_unknown_entries_and_unsupported_formats_give_warnings(dataset):
    directory = dataset(info={"Name": "Shop"})
    (directory / "events.json").write_text("[]")
    (directory / "README.md").write_text("About")

    warnings = read_dataset(directory).warnings

    assert len(warnings) == 2
    assert warnings[0] == "dataset.json: unknown entry 'Name' not read"
    assert warnings[1].startswith("events.json: not read; use one of .parquet, ")


def test_a_threshold_that_no_grade_reaches_gives_a_warning(dataset):
    judgments = [{"query": "saw", "item_id": "1", "grade": 1}]

    warnings = read_dataset(dataset(info={"relevant_from": 2}, judgments=judgments)).warnings

    assert len(warnings) == 1
    assert "relevant_from: no grade reaches 2, the highest is 1" in warnings[0]


@pytest.mark.parametrize(
    ("suffix", "age"),
    [(".parquet", [30, None]), (".jsonl", [30, None]), (".csv", ["30", None])],
)
def test_other_columns_of_users_are_their_attributes(dataset, suffix, age):
    users = [{"user_id": "u1", "age": 30, "plan": "gold"}, {"user_id": "u2", "plan": "free"}]

    found = read_dataset(dataset(suffix, users=users))

    assert found.warnings == ()
    assert found.users["user_id"].to_pylist() == ["u1", "u2"]
    assert found.users["age"].to_pylist() == age
    assert found.users["plan"].to_pylist() == ["gold", "free"]


def test_user_attributes_may_first_appear_late_in_the_file(dataset):
    users = [{"user_id": str(n)} for n in range(70_000)] + [{"user_id": "last", "age": 30}]

    ages = read_dataset(dataset(users=users)).users["age"]

    assert ages.null_count == 70_000
    assert ages[70_000].as_py() == 30


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_optional_tables_may_be_empty(dataset, suffix):
    directory = dataset(suffix)
    for schema in (JUDGMENTS, EVENTS):
        path = directory / (schema.name + suffix)
        if suffix == ".parquet":
            pq.write_table(schema.arrow.empty_table(), path)
        else:
            path.write_text(",".join(schema.names) + "\n" if suffix == ".csv" else "\n")

    found = read_dataset(directory)

    assert found.judgments.schema.equals(JUDGMENTS.arrow)
    assert len(found.judgments) == len(found.events) == 0
    # Without grades, the threshold is 1 above grade_min, the grade of irrelevant items.
    assert found.info.relevant_from == 1.0
    assert found.warnings == ()


def test_very_long_text_is_read_whole(dataset):
    text = "long " * 100_000

    found = read_dataset(dataset(items=[{"item_id": "1", "title": "Saw", "description": text}]))

    assert found.items["description"].to_pylist() == [text]


def test_the_fingerprint_depends_on_the_content_alone(dataset):
    directory = dataset(info={"name": "Shop"})
    first = read_dataset(directory).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", first)

    (directory / "notes.txt").write_text("not read")
    (directory / "items.jsonl").touch()
    assert read_dataset(directory).fingerprint == first

    (directory / "dataset.json").write_text(json.dumps({"name": "Shop 2"}))
    second = read_dataset(directory).fingerprint
    assert second != first

    dataset(info={"name": "Shop 2"}, items=[{"item_id": "1", "title": "Saw!"}])
    assert read_dataset(directory).fingerprint not in {first, second}


def test_items_go_straight_into_a_store(dataset):
    store = ItemStore(read_dataset(dataset(items=[FULL_ITEM, BARE_ITEM])).items)

    assert store.item(0).attributes == FULL_ITEM["attributes"]
    assert store.item(1).attributes == {}


def test_roles_of_attributes_are_kept_with_the_items(dataset):
    info = {"filter_only": ["weight"], "stored_only": ["colour"]}
    found = read_dataset(dataset(info=info, items=[FULL_ITEM]))
    roles = AttributeRoles(frozenset({"weight"}), frozenset({"colour"}))
    assert (found.info.roles, ItemStore(found.items).roles) == (roles, roles)
    assert found.warnings == ()


def test_a_role_of_an_attribute_that_no_item_has_is_a_warning(dataset):
    found = read_dataset(dataset(info={"filter_only": ["color"]}, items=[FULL_ITEM, BARE_ITEM]))
    assert found.warnings == (
        "dataset.json, filter_only: no item has the attribute 'color'; correct the name, or ignore "
        "this warning if later items have the attribute",
    )


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        (
            {"filter_only": "colour"},
            "dataset.json, filter_only: 'colour' is not a list of texts; give the names of "
            'attributes such as ["colour"]',
        ),
        (
            {"stored_only": [1]},
            "dataset.json, stored_only: [1] is not a list of texts; give the names of attributes "
            'such as ["colour"]',
        ),
        (
            {"filter_only": ["a", "b"], "stored_only": ["b"]},
            "dataset.json: 'b' is in filter_only and in stored_only; keep one",
        ),
    ],
)
def test_roles_of_another_form_are_refused(dataset, only_problem_of, info, problem):
    assert only_problem_of(dataset(info=info)) == problem
