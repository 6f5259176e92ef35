"""Unreadable files and columns: each problem names its line or row, and tells what to do."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.dataset.reading import DatasetError, read_dataset

EVENT = {"time": "2024-01-31T09:30:00Z", "item_id": "1", "type": "click"}


def items_with(**values):
    return [{"item_id": "1", "title": "Saw"}, {"item_id": "2", "title": "Drill", **values}]


# Files and directories.


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere: 1 problem .*\n.*No such file or directory"):
        read_dataset(tmp_path / "nowhere")


def test_a_file_given_as_directory_is_refused(tmp_path, only_problem_of):
    (tmp_path / "items.csv").write_text("item_id,title\n1,Saw\n")

    assert "give the path of a dataset directory" in only_problem_of(tmp_path / "items.csv")


def test_a_directory_without_items_says_which_files_to_add(tmp_path, only_problem_of):
    assert only_problem_of(tmp_path) == (
        "no items; add items.parquet, items.jsonl, items.jsonl.gz or items.csv"
    )


def test_items_in_an_unsupported_format_are_named(tmp_path, only_problem_of):
    (tmp_path / "items.xlsx").write_bytes(b"")

    assert "unsupported format: items.xlsx" in only_problem_of(tmp_path)


def test_one_table_in_two_files_is_ambiguous(dataset, only_problem_of):
    dataset(".csv")
    directory = dataset(".parquet")

    assert only_problem_of(directory) == (
        "items.csv and items.parquet: the same table in 2 files; keep one of them"
    )


def test_a_directory_in_place_of_a_file_is_refused(dataset, only_problem_of):
    directory = dataset()
    (directory / "judgments.csv").mkdir()

    assert only_problem_of(directory).startswith("judgments.csv: cannot be read (Is a dir")


def test_a_directory_without_parquet_files_is_refused(dataset, only_problem_of):
    directory = dataset()
    (directory / "judgments.parquet").mkdir()

    problem = only_problem_of(directory)

    assert problem.startswith("judgments.parquet: a directory without parquet files")


@pytest.mark.parametrize("content", [b"", b"PAR1 garbage PAR1", b"PAR1"])
def test_a_file_that_is_not_parquet_is_refused(tmp_path, content, only_problem_of):
    (tmp_path / "items.parquet").write_bytes(content)

    assert only_problem_of(tmp_path).startswith("items.parquet: cannot be read (")


def test_a_truncated_or_damaged_parquet_file_is_refused(dataset, only_problem_of):
    directory = dataset(".parquet", items=[{"item_id": str(n), "title": "Saw"} for n in range(999)])
    path = directory / "items.parquet"
    content = path.read_bytes()

    path.write_bytes(content[:-100])
    assert only_problem_of(directory).startswith("items.parquet: cannot be read (")
    path.write_bytes(content[:4] + b"\xff" * 64 + content[68:])
    assert only_problem_of(directory).startswith("items.parquet: cannot be read (")


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b"xx" + b, lambda b: b[:20] + b"?" * 9]
)
def test_a_damaged_gzip_file_is_refused(tmp_path, damage, only_problem_of):
    content = gzip.compress(b'{"item_id": "1", "title": "Saw"}\n' * 3)
    (tmp_path / "items.jsonl.gz").write_bytes(damage(content))

    assert only_problem_of(tmp_path).startswith("items.jsonl.gz: cannot be read (")


@pytest.mark.parametrize("name", ["items.csv", "items.jsonl"])
def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path, name, only_problem_of):
    line = b"2,S\xe4ge\n" if name == "items.csv" else b'{"item_id": "2", "title": "S\xe4ge"}\n'
    head = b"item_id,title\n" if name == "items.csv" else b'{"item_id": "1", "title": "Saw"}\n'
    (tmp_path / name).write_bytes(head + line)

    assert only_problem_of(tmp_path) == f"{name}, line 2: not UTF-8 text; save the file as UTF-8"


def test_parquet_text_that_is_not_utf8_is_refused_with_its_row(tmp_path, only_problem_of):
    titles = pa.array([b"Saw", b"S\xe4ge"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"item_id": ["1", "2"], "title": titles}), tmp_path / "items.parquet")

    problem = only_problem_of(tmp_path)

    assert problem.startswith("items.parquet, row 2, column title: holds bytes that are not UTF-8")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_no_items_is_an_error(tmp_path, suffix, only_problem_of):
    path = tmp_path / f"items{suffix}"
    if suffix == ".parquet":
        pq.write_table(
            pa.table({"item_id": pa.array([], "str"), "title": pa.array([], "str")}), path
        )
    else:
        path.write_text("item_id,title\n" if suffix == ".csv" else "")

    assert only_problem_of(tmp_path) == f"items{suffix}: no items; give at least one"


# Rows of text files.


def test_lines_that_are_not_json_objects_are_named(tmp_path, only_problem_of):
    good = '{"item_id": "1", "title": "Saw"}'
    lines = [good, "", '{"item_id": "2"', "[]", '"text"', "3"]
    (tmp_path / "items.jsonl").write_text("\n".join(lines) + "\n")

    problem = only_problem_of(tmp_path)

    assert problem.startswith("items.jsonl, line 3: not JSON (Expecting ',' delimiter")
    assert problem.endswith("; correct the line (4 lines in all, also 4, 5, 6)")


def test_too_deep_nesting_is_not_json(tmp_path, problems_of):
    (tmp_path / "items.jsonl").write_text("[" * 100_000)

    assert "items.jsonl, line 1: not JSON" in problems_of(tmp_path)[0]


def test_csv_rows_with_too_many_or_too_few_cells_are_named(tmp_path, only_problem_of):
    (tmp_path / "items.csv").write_text("item_id,title\n1,Saw\n2,Drill,red\n3\n")

    assert only_problem_of(tmp_path) == (
        "items.csv, line 3: 3 cells, but the header names 2; correct the line "
        "(2 lines in all, also 4)"
    )


def test_csv_with_a_quote_that_never_closes_is_refused(tmp_path, only_problem_of):
    (tmp_path / "items.csv").write_text('item_id,title\n1,"Saw\n2,Drill\n')

    assert only_problem_of(tmp_path).startswith("items.csv: cannot be read (line 3: unexpected end")


def test_an_empty_csv_lacks_its_columns(tmp_path, problems_of):
    (tmp_path / "items.csv").write_text("")

    problems = problems_of(tmp_path)

    assert "items.csv, column item_id: missing; add it (columns in the file: none)" in problems


def test_csv_rows_are_named_by_the_line_they_start_at(tmp_path, only_problem_of):
    text = 'item_id,title,price,description\n1,Saw,1,"two\nlines"\n\n2,Drill,cheap,\n'
    (tmp_path / "items.csv").write_text(text)

    assert only_problem_of(tmp_path).startswith("items.csv, line 5, column price: 'cheap' is not")


# Columns.


def test_missing_columns_are_named_with_the_present_ones(dataset, problems_of):
    directory = dataset(".csv", items=[{"Item_ID": "1", "name": "Saw"}])

    assert problems_of(directory) == (
        "items.csv, column item_id: missing; add it (columns in the file: 'Item_ID', 'name')",
        "items.csv, column title: missing; add it (columns in the file: 'Item_ID', 'name')",
    )


def test_a_repeated_column_is_refused(tmp_path, only_problem_of):
    (tmp_path / "items.csv").write_text("item_id,title,title\n1,Saw,Drill\n")
    assert only_problem_of(tmp_path) == "items.csv, column title: occurs 2 times; keep one"

    (tmp_path / "items.csv").unlink()
    table = pa.Table.from_arrays(
        [pa.array(["1"]), pa.array(["a"]), pa.array(["b"])], ["item_id", "title", "title"]
    )
    pq.write_table(table, tmp_path / "items.parquet")
    assert only_problem_of(tmp_path) == "items.parquet, column title: occurs 2 times; keep one"


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("item_id", pa.array([1.0, 2.0]), "has the Arrow type double; give text"),
        ("title", pa.array([b"a", b"b"]), "has the Arrow type binary; give text"),
        ("price", pa.array(["1", "2"]), "has the Arrow type string; give a number"),
        ("price", pa.array([True, False]), "has the Arrow type bool; give a number"),
        ("in_stock", pa.array(["yes", "no"]), "has the Arrow type string; give true or false"),
        ("released", pa.array(["2024-01-31"] * 2), "give a date such as 2024-01-31"),
        ("attributes", pa.array([{"a": {"b": "c"}}] * 2), "best as map<large_string, large_string"),
        ("embedding", pa.array([["a"]] * 2), "give a list of numbers"),
        ("identifiers", pa.array([[1.5]] * 2), "give a list of texts"),
    ],
)
def test_parquet_columns_of_another_type_are_named(
    tmp_path, column, values, expected, only_problem_of
):
    columns = {"item_id": pa.array(["1", "2"]), "title": pa.array(["Saw", "Drill"])}
    pq.write_table(pa.table(columns | {column: values}), tmp_path / "items.parquet")

    problem = only_problem_of(tmp_path)

    assert problem.startswith(f"items.parquet, column {column}: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("title", 3.5, "3.5 is not text; correct it"),
        ("title", True, "True is not text; correct it"),
        ("title", "\ud800", "'\\ud800' is not text"),
        ("description", ["a"], "['a'] is not text; correct it or leave it empty"),
        ("price", "12.5", "'12.5' is not a number such as 12.5"),
        ("price", True, "True is not a number"),
        ("price", 10**400, "is not a number"),
        ("rating_count", 2.5, "2.5 is not a whole number such as 3"),
        ("in_stock", "yes", "'yes' is not true or false"),
        ("in_stock", 2, "2 is not true or false"),
        ("released", "31.01.2024", "'31.01.2024' is not a date such as 2024-01-31"),
        ("released", "2023-02-29", "'2023-02-29' is not a date"),
        ("released", "0000-01-01", "'0000-01-01' is not a date"),
        ("attributes", {"size": {"width": 3}}, "{'size': {'width': 3}} is not a map from text"),
        ("attributes", "red", "'red' is not a map from text to text"),
        ("embedding", [1.0, "2"], "[1.0, '2'] is not a list of numbers"),
        ("embedding", "12", "'12' is not a list of numbers"),
        ("identifiers", ["a", 1.5], "['a', 1.5] is not a list of texts"),
        ("identifiers", {"gtin": "1"}, "{'gtin': '1'} is not a list of texts"),
        ("embedding", 1.0, "1.0 is not a list of numbers"),
    ],
)
def test_json_values_of_another_type_are_named(tmp_path, column, value, expected, only_problem_of):
    lines = [json.dumps(item) for item in items_with(**{column: value})]
    (tmp_path / "items.jsonl").write_text("\n".join(lines))

    problem = only_problem_of(tmp_path)

    assert problem.startswith(f"items.jsonl, line 2, column {column}: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("price", "1,234.50", "'1,234.50' is not a number"),
        ("price", "$5", "'$5' is not a number"),
        ("rating_count", "2.5", "'2.5' is not a whole number"),
        ("in_stock", "yes", "'yes' is not true or false"),
        ("released", "01/31/2024", "'01/31/2024' is not a date"),
        ("attributes", "colour: red", "'colour: red' is not a map from text to text"),
        ("attributes", '["red"]', "is not a map from text to text"),
        ("embedding", "[1, 2", "'[1, 2' is not a list of numbers"),
        ("identifiers", "[1, 2", "'[1, 2' is not a list of texts"),
    ],
)
def test_csv_cells_of_another_type_are_named(dataset, column, cell, expected, only_problem_of):
    problem = only_problem_of(dataset(".csv", items=items_with(**{column: cell})))

    assert problem.startswith(f"items.csv, line 3, column {column}: ")
    assert expected in problem


@pytest.mark.parametrize("time", ["yesterday", "2024-01-31T25:00:00", "1706693400"])
def test_invalid_times_are_named(dataset, time, only_problem_of):
    problem = only_problem_of(dataset(events=[EVENT | {"time": time}]))

    assert problem == (
        f"events.jsonl, line 1, column time: '{time}' is not a UTC time such as "
        "2024-01-31T09:30:00Z; correct it"
    )


def test_user_attributes_of_mixed_types_are_named(dataset, only_problem_of):
    users = [{"user_id": "1", "age": 3}, {"user_id": "2", "age": "old"}]

    assert only_problem_of(dataset(users=users)) == (
        "users.jsonl, column age: mixes types of values; use one type throughout"
    )
