"""Tables as other tools write them come back equal, or are refused by name."""

import datetime
import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.dataset.reading import Dataset, DatasetError, read_dataset
from catalog.store import ItemStore
from tests.catalog.dataset.tables import column, items_with, write_parquet, write_text

CENTS = ["19.99", "0.35", "4.35", "20.00", "0.07", "99999999.99"]


# Numbers.


@pytest.mark.parametrize("kind", [pa.decimal128(10, 2), pa.decimal256(40, 6)], ids=str)
def test_decimals_become_the_nearest_doubles(tmp_path, kind):
    prices = pa.array([decimal.Decimal(text) for text in CENTS], kind)
    directory = write_parquet(tmp_path, items_with(price=prices))
    assert column(directory, "price") == [float(text) for text in CENTS]


def test_single_precision_prices_keep_their_shortest_form(tmp_path):
    prices = np.array([19.99, 0.35, 4.35], np.float32)
    directory = write_parquet(tmp_path, items_with(price=prices))
    assert column(directory, "price") == [19.99, 0.35, 4.35]


def test_whole_numbers_beyond_double_precision_are_exact(tmp_path):
    counts = [2**53 + 1, 2**63 - 1]
    rows = "".join(f'{{"item_id":"{n}","title":"mug","rating_count":{n}}}\n' for n in counts)
    assert column(write_text(tmp_path, "items.jsonl", rows), "rating_count") == counts
    (tmp_path / "items.jsonl").unlink()
    text = "item_id,title,rating_count\n" + "".join(f"{n},mug,{n}\n" for n in counts)
    assert column(write_text(tmp_path, "items.csv", text), "rating_count") == counts


# Dates.


def test_spark_s_int96_dates_are_read_in_every_year(tmp_path):
    days = [datetime.datetime(9999, 12, 31), datetime.datetime(1600, 1, 1)]
    table = items_with(released=pa.array(days, pa.timestamp("ms")))
    directory = write_parquet(tmp_path, table, use_deprecated_int96_timestamps=True)
    assert column(directory, "released") == [day.date() for day in days]


@pytest.mark.parametrize("day", [-719_163, 2_932_897], ids=["year 0", "year 10000"])
def test_a_date_outside_of_the_years_1_to_9999_is_refused_by_row(tmp_path, only_problem_of, day):
    table = items_with(released=pa.array([0, day], pa.int32()).cast(pa.date32()))
    problem = only_problem_of(write_parquet(tmp_path, table))
    assert problem.startswith("items.parquet, row 2, column released: ")
    assert "is not a date such as 2024-01-31" in problem


def test_year_zero_in_a_csv_is_refused_by_line(tmp_path, only_problem_of):
    directory = write_text(tmp_path, "items.csv", "item_id,title,released\na,mug,0000-01-01\n")
    assert only_problem_of(directory).startswith("items.csv, line 2, column released: '0000-01-01'")


# Flags and ids.


@pytest.mark.parametrize("values", [[1, 0, None], [1.0, 0.0, None], [True, False, None]], ids=str)
def test_flags_may_be_numbers(tmp_path, values):
    directory = write_parquet(tmp_path, items_with(in_stock=pa.array(values)))
    assert column(directory, "in_stock") == [True, False, None]


def test_a_flag_of_another_number_is_refused_by_row(tmp_path, only_problem_of):
    directory = write_parquet(tmp_path, items_with(in_stock=[1, 2]))
    assert only_problem_of(directory).startswith("items.parquet, row 2, column in_stock: 2 is not")


def test_ids_may_be_whole_numbers_in_every_table(tmp_path):
    write_text(tmp_path, "items.jsonl", '{"item_id":7,"title":"mug"}\n')
    pq.write_table(
        pa.table({"query": ["mug"], "item_id": [7], "grade": [1.0]}),
        tmp_path / "judgments.parquet",
    )
    dataset = read_dataset(tmp_path)
    assert dataset.items["item_id"].to_pylist() == ["7"]
    assert dataset.judgments["item_id"].to_pylist() == ["7"]


# Attributes.


@pytest.mark.parametrize(
    "attributes",
    [
        pa.array([[("colour", "red"), ("colour", "blue"), ("size", "L")]], pa.map_("str", "str")),
        pa.array([{"colour": ["red", "blue"], "size": "L"}]),
        pa.array([[{"key": "colour", "value": "red"}, {"key": "colour", "value": "blue"},
                   {"key": "size", "value": "L"}]]),
    ],
    ids=["map", "struct", "list of entries"],
)  # fmt: skip
def test_an_attribute_with_several_values_has_one_entry_per_value(tmp_path, attributes):
    directory = write_parquet(tmp_path, items_with(attributes=attributes))
    assert column(directory, "attributes") == [
        [("colour", "red"), ("colour", "blue"), ("size", "L")]
    ]


def test_json_attributes_may_be_numbers_flags_lists_and_repeated(tmp_path):
    text = (
        '{"item_id":"a","title":"shirt","attributes":{"size":["S","M","","S"],"weight_kg":0.2,'
        '"organic":true,"pieces":3,"none":null,"colour":"red","colour":"blue"}}\n'
    )
    assert column(write_text(tmp_path, "items.jsonl", text), "attributes") == [
        [
            ("size", "S"),
            ("size", "M"),
            ("weight_kg", "0.2"),
            ("organic", "true"),
            ("pieces", "3"),
            ("colour", "red"),
            ("colour", "blue"),
        ]
    ]


FLOATS = pa.array([19.99, 0.1], pa.float32())


@pytest.mark.parametrize(
    "attributes",
    [
        pa.array([[("w", 19.99), ("none", None)]], pa.map_("str", "f4")),
        pa.StructArray.from_arrays([FLOATS[:1]], ["w"]),
        pa.array([[{"key": "w", "value": 19.99}]],
                 pa.list_(pa.struct([("key", "str"), ("value", "f4")]))),
    ],
    ids=["map", "struct", "list of entries"],
)  # fmt: skip
def test_single_precision_attributes_have_their_shortest_form(tmp_path, attributes):
    directory = write_parquet(tmp_path, items_with(attributes=attributes))
    assert column(directory, "attributes") == [[("w", "19.99")]]


def test_lists_within_maps_and_structs_are_several_values(tmp_path):
    floats = pa.array([[19.99, 0.1]], pa.list_(pa.float32()))
    directory = write_parquet(
        tmp_path, items_with(attributes=pa.StructArray.from_arrays([floats], ["w"]))
    )
    assert column(directory, "attributes") == [[("w", "19.99"), ("w", "0.1")]]
    texts = pa.array([[("s", ["S", "M"])]], pa.map_("str", pa.list_(pa.string())))
    write_parquet(tmp_path, items_with(attributes=texts))
    assert column(directory, "attributes") == [[("s", "S"), ("s", "M")]]


@pytest.mark.parametrize("value", ["NaN", "null"])
def test_a_missing_number_is_no_attribute(tmp_path, value):
    text = f'{{"item_id":"a","title":"mug","attributes":{{"w":{value},"big":1e6}}}}\n'
    assert column(write_text(tmp_path, "items.jsonl", text), "attributes") == [[("big", "1000000")]]


def test_structs_have_no_attribute_for_a_missing_value(tmp_path):
    attributes = [{"colour": "red", "size": "L"}, {"colour": "blue"}, None]
    directory = write_parquet(tmp_path, items_with(attributes=attributes))
    assert column(directory, "attributes") == [
        [("colour", "red"), ("size", "L")], [("colour", "blue")], None
    ]  # fmt: skip


# Identifiers and categories.


@pytest.mark.parametrize(
    "codes",
    [
        pa.array([["12", "b", None, " ", "12"], None, []]),
        pa.array([["12", "b"], None, None], pa.list_(pa.large_string())),
        pa.array([["12", "b"], [""], []], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    ],
    ids=["list", "large", "dictionary"],
)
def test_lists_lose_blank_and_repeated_texts(tmp_path, codes):
    directory = write_parquet(tmp_path, items_with(identifiers=codes))
    assert column(directory, "identifiers") == [["12", "b"], None, None]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [(["12", "", None], ["12"]), ([12, None, None], ["12"]), ([[1, 2], None, []], ["1", "2"])],
    ids=str,
)
def test_a_list_may_be_one_text_or_whole_numbers(tmp_path, codes, expected):
    directory = write_parquet(tmp_path, items_with(identifiers=pa.array(codes)))
    assert column(directory, "identifiers") == [expected, None, None]


def test_lists_in_a_csv_are_json_or_one_text(tmp_path):
    text = (
        "item_id,title,identifiers,categories\n"
        'a,mug,"[""0012"", 7]",Kitchen > Mugs\nb,mug,0012,"[""A"", ""B > C""]"\nc,mug,,\n'
    )
    directory = write_text(tmp_path, "items.csv", text)
    assert column(directory, "identifiers") == [["0012", "7"], ["0012"], None]
    store = ItemStore(read_dataset(directory).items)
    assert [store.item(row).categories for row in range(3)] == [
        ("Kitchen > Mugs",), ("A", "B > C"), ()
    ]  # fmt: skip


def test_the_category_follows_from_the_categories(tmp_path):
    rows = (
        '{"item_id":"a","title":"mug","categories":["A","B"]}\n'
        '{"item_id":"b","title":"mug","category":"C"}\n'
        '{"item_id":"c","title":"mug","category":"D","categories":["D","E"]}\n'
    )
    store = ItemStore(read_dataset(write_text(tmp_path, "items.jsonl", rows)).items)
    items = [store.item(row) for row in range(3)]
    assert [item.category for item in items] == ["A", "C", "D"]
    assert [item.categories for item in items] == [("A", "B"), ("C",), ("D", "E")]
    assert store.text("category") == ["A", "C", "D"]


def test_a_category_that_is_not_the_first_is_refused_by_line(tmp_path, only_problem_of):
    row = '{"item_id":"a","title":"mug","category":"B","categories":["A","B"]}\n'
    assert only_problem_of(write_text(tmp_path, "items.jsonl", row)) == (
        "items.jsonl, line 1, column category: 'B' is not the first of the categories, which is "
        "'A'; give one of the columns category and categories"
    )


def test_a_language_of_another_form_is_refused_by_line(tmp_path, only_problem_of):
    rows = "item_id,title,language\na,mug,en\nb,mug,en-GB\nc,mug,\n"
    assert only_problem_of(write_text(tmp_path, "items.csv", rows)) == (
        "items.csv, line 3, column language: 'en-GB' is not a language tag of two or three "
        "lower-case letters, such as en; correct it or leave it empty"
    )


def test_a_row_with_a_repeated_key_is_refused_by_line(tmp_path, only_problem_of):
    text = '{"item_id":"a","title":"mug"}\n{"item_id":"b","title":"mug","title":"cup"}\n'
    problem = only_problem_of(write_text(tmp_path, "items.jsonl", text))
    assert problem == "items.jsonl, line 2: has 'title' twice; correct the line"


# Directories of parquet files.


def test_a_directory_of_parquet_files_is_one_table(tmp_path, problems_of):
    parts = tmp_path / "items.parquet"
    (parts / "day=1").mkdir(parents=True)
    pq.write_table(
        pa.table({"item_id": ["a"], "title": ["mug"], "price": [1]}), parts / "0.parquet"
    )
    pq.write_table(pa.table({"item_id": ["b"], "title": ["cup"]}), parts / "day=1" / "1.parquet")
    dataset = read_dataset(tmp_path)
    assert dataset.items["item_id"].to_pylist() == ["a", "b"]
    assert dataset.items["price"].to_pylist() == [1.0, None]

    pq.write_table(pa.table({"item_id": ["a"], "title": [""]}), parts / "day=1" / "1.parquet")
    assert set(problems_of(tmp_path)) == {
        "items.parquet/day=1/1.parquet, row 1, column title: missing or blank; every row needs one",
        "items.parquet/day=1/1.parquet, row 1, column item_id: 'a' is also on "
        "items.parquet/0.parquet, row 1; give every row its own",
    }


def test_a_column_that_only_the_names_of_folders_have_is_refused(tmp_path, problems_of):
    folder = tmp_path / "items.parquet" / "category=Shoes"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"item_id": ["a"], "title": ["mug"]}), folder / "0.parquet")
    assert problems_of(tmp_path) == (
        "items.parquet, column category: only in the name of the folder 'category=Shoes'; "
        "write the column into the files",
    )


@pytest.mark.parametrize("name", ["_temporary", ".staging", "_delta_log"])
def test_unfinished_files_of_other_tools_are_not_read(tmp_path, name):
    parts = tmp_path / "items.parquet"
    (parts / name).mkdir(parents=True)
    table = pa.table({"item_id": ["a"], "title": ["mug"]})
    pq.write_table(table, parts / "0.parquet")
    pq.write_table(table, parts / name / "0.parquet")
    assert len(read_dataset(tmp_path).items) == 1


def test_parts_may_have_the_column_in_different_types(tmp_path):
    parts = tmp_path / "items.parquet"
    parts.mkdir()
    pq.write_table(pa.table({"item_id": [1], "title": ["mug"]}), parts / "0.parquet")
    pq.write_table(pa.table({"item_id": ["b"], "title": ["cup"]}), parts / "1.parquet")
    assert read_dataset(tmp_path).items["item_id"].to_pylist() == ["1", "b"]


def test_the_fingerprint_covers_every_part(tmp_path):
    parts = tmp_path / "items.parquet"
    parts.mkdir()
    pq.write_table(pa.table({"item_id": ["a"], "title": ["mug"]}), parts / "0.parquet")
    before = read_dataset(tmp_path).fingerprint
    pq.write_table(pa.table({"item_id": ["b"], "title": ["cup"]}), parts / "1.parquet")
    assert read_dataset(tmp_path).fingerprint != before


# Judgments.


def judged(directory: Path, *rows: str) -> Dataset:
    write_text(
        directory, "items.jsonl", '{"item_id":"a","title":"lamp"}\n{"item_id":"b","title":"x"}\n'
    )
    write_text(directory, "judgments.jsonl", "".join(f"{{{row}}}\n" for row in rows))
    return read_dataset(directory)


def test_one_query_in_two_spellings_must_not_have_two_grades(tmp_path):
    with pytest.raises(DatasetError, match=r"'LAMP ' and item 'a' has 0.0 here and 3.0 on line 1"):
        judged(
            tmp_path,
            '"query":"lamp","item_id":"a","grade":3',
            '"query":"LAMP ","item_id":"a","grade":0',
        )


def test_without_query_ids_two_spellings_are_one_query(tmp_path):
    dataset = judged(
        tmp_path,
        '"query":"lamp","item_id":"a","grade":1',
        '"query":"LAMP","item_id":"a","grade":1',
        '"query":"LAMP","item_id":"b","grade":0',
    )
    assert dataset.judgments["item_id"].to_pylist() == ["a", "b"]
    assert len(set(dataset.judgments["query_id"].to_pylist())) == 1
    assert "1 repeated judgment" in dataset.warnings[0]


def test_query_ids_say_that_two_spellings_are_two_queries(tmp_path):
    dataset = judged(
        tmp_path,
        '"query":"lamp","item_id":"a","grade":3,"query_id":"1"',
        '"query":"LAMP","item_id":"a","grade":0,"query_id":"2"',
    )
    assert dataset.judgments["grade"].to_pylist() == [3.0, 0.0]


def test_grades_without_any_gain_make_no_item_relevant(tmp_path):
    rows = [f'"query":"lamp","item_id":"{item}","grade":0' for item in "ab"]
    dataset = judged(tmp_path, *rows)
    assert dataset.info.relevant_from > 0
    assert "all grades are 0, which is grade_min" in dataset.warnings[0]


def test_equal_grades_are_warned_of(tmp_path):
    rows = [f'"query":"lamp","item_id":"{item}","grade":2' for item in "ab"]
    dataset = judged(tmp_path, *rows)
    assert dataset.info.relevant_from == 1.0
    assert "all grades are 2" in dataset.warnings[0]


# HTML.


@pytest.mark.parametrize(
    ("text", "is_markup"),
    [
        ("<p>Loose leaf</p>", True),
        ("Tea &amp; co", True),
        ("line<br/>break", True),
        ("Men&rsquo;s shirt", True),
        ("<svg></svg>", True),
        ("salt &pepper; tea", False),
        ("from 5 < x > 3", False),
        ("Tea & co; R&D", False),
        ("<brand> lamp", False),
    ],
)
def test_html_is_warned_of_with_its_count(tmp_path, text, is_markup):
    directory = write_parquet(tmp_path, items_with(description=[text, text]))
    warnings = read_dataset(directory).warnings
    assert len(warnings) == is_markup
    if is_markup:
        assert warnings[0].startswith("items.parquet, row 1, column description: 2 rows with HTML")
