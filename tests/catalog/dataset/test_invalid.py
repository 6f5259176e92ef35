"""Invalid values: each problem names its file, row and column, and tells what to do."""

import pytest

from catalog.dataset.reading import DatasetError, read_dataset

JUDGMENT = {"query": "saw", "item_id": "1", "grade": 1.0}
EVENT = {"time": "2024-01-31T09:30:00Z", "item_id": "1", "type": "click"}


def items_with(**values):
    return [{"item_id": "1", "title": "Saw"}, {"item_id": "2", "title": "Drill", **values}]


# Values.


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
@pytest.mark.parametrize("value", ["", "  ", None])
@pytest.mark.parametrize("column", ["item_id", "title"])
def test_ids_and_titles_may_not_be_missing_or_blank(
    dataset, suffix, value, column, only_problem_of
):
    directory = dataset(suffix, items=items_with(**{column: value}))

    row = {".parquet": "row 2", ".jsonl": "line 2", ".csv": "line 3"}[suffix]
    assert only_problem_of(directory) == (
        f"items{suffix}, {row}, column {column}: missing or blank; every row needs one"
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_a_repeated_id_names_both_rows(dataset, suffix, only_problem_of):
    directory = dataset(suffix, items=[*items_with(), {"item_id": "1", "title": "Axe"}])

    row, first = {".parquet": ("row 3", "row 1"), ".csv": ("line 4", "line 2")}.get(
        suffix, ("line 3", "line 1")
    )
    assert only_problem_of(directory) == (
        f"items{suffix}, {row}, column item_id: '1' is also on {first}; give every row its own"
    )


def test_users_have_unique_ids(dataset, problems_of):
    problems = problems_of(dataset(users=[{"user_id": "u"}, {"user_id": "u"}, {"user_id": ""}]))

    assert [problem.split(";")[0] for problem in problems] == [
        "users.jsonl, line 3, column user_id: missing or blank",
        "users.jsonl, line 2, column user_id: 'u' is also on line 1",
    ]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("price", -0.01, "-0.01 is below 0"),
        ("price", float("inf"), "inf is not a finite number"),
        ("rating", 5.1, "5.1 is above 5"),
        ("rating", -1.0, "-1.0 is below 0"),
        ("rating_count", -1, "-1 is below 0"),
    ],
)
def test_item_numbers_have_limits(dataset, column, value, expected, only_problem_of):
    problem = only_problem_of(dataset(".parquet", items=items_with(**{column: value})))

    assert problem == (
        f"items.parquet, row 2, column {column}: {expected}; correct it or leave it empty"
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
@pytest.mark.parametrize(
    ("grade", "expected"),
    [
        (float("nan"), "missing or NaN"),
        (None, "missing or NaN"),
        (float("inf"), "inf is not a finite number"),
        (float("-inf"), "-inf is not a finite number"),
    ],
)
def test_grades_are_finite(dataset, suffix, grade, expected, only_problem_of):
    judgments = [JUDGMENT, {"query": "drill", "item_id": "2", "grade": grade}]

    problem = only_problem_of(dataset(suffix, judgments=judgments))

    row = {".parquet": "row 2", ".jsonl": "line 2", ".csv": "line 3"}[suffix]
    assert problem.startswith(f"judgments{suffix}, {row}, column grade: {expected}; ")


def test_grades_below_grade_min_are_refused(dataset, only_problem_of):
    assert only_problem_of(dataset(info={"grade_min": 2}, judgments=[JUDGMENT])) == (
        "judgments.jsonl, line 1, column grade: 1.0 is below grade_min, which is 2; "
        "set grade_min in dataset.json to the lowest grade"
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"position": 0}, "column position: 0 is below 1; correct it or leave it empty"),
        (
            {"type": "buy"},
            "column type: 'buy' is unknown; use impression, view, click, add_to_cart",
        ),
        ({"propensity": 0}, "column propensity: 0.0 is below 1e-06"),
        ({"type": None}, "column type: missing or blank; every row needs one"),
        ({"type": " "}, "column type: missing or blank; every row needs one"),
        ({"time": None}, "column time: missing or blank; every row needs one"),
        ({"price": -1}, "column price: -1.0 is below 0"),
    ],
)
def test_events_have_types_times_and_positions_from_one(dataset, values, expected, only_problem_of):
    problem = only_problem_of(dataset(events=[EVENT, EVENT | values]))

    assert problem.startswith(f"events.jsonl, line 2, {expected}")


def test_events_without_an_id_are_many_and_an_id_is_of_one_event(dataset, only_problem_of):
    events = [EVENT, EVENT, {**EVENT, "event_id": "a"}, {**EVENT, "event_id": "a"}]
    problem = only_problem_of(dataset(events=events))
    assert "line 4, column event_id: 'a' is also on line 3; give every row its own" in problem


def test_embeddings_have_one_width(dataset, only_problem_of):
    items = [
        {"item_id": str(n), "title": "Saw", "embedding": vector}
        for n, vector in enumerate([[1, 2], None, [1, 2, 3], [3, 4], [1]])
    ]

    assert only_problem_of(dataset(items=items)) == (
        "items.jsonl, line 3, column embedding: 3 numbers, but most have 2; "
        "give all embeddings one width (2 lines in all, also 5)"
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), None, 1e300])
def test_embeddings_are_finite(dataset, number, only_problem_of):
    items = [
        {"item_id": "1", "title": "Saw", "embedding": [1, 2]},
        {"item_id": "2", "title": "Drill"},
        {"item_id": "3", "title": "Axe", "embedding": [1, number]},
    ]

    problem = only_problem_of(dataset(items=items))

    assert problem.startswith("items.jsonl, line 3, column embedding: has a number that is missing")


def test_embeddings_without_numbers_are_refused(dataset, only_problem_of):
    items = [{"item_id": "1", "title": "Saw", "embedding": []}]

    assert "the embedding has no numbers" in only_problem_of(dataset(items=items))


# Judgments that contradict each other.


def test_a_query_in_two_splits_names_both_rows(dataset, only_problem_of):
    judgments = [
        JUDGMENT | {"split": "train"},
        {"query": "drill", "item_id": "1", "grade": 1, "split": "dev"},
        # Queries that differ only in case and outer spaces are equal.
        {
            "query": " SAW",
            "item_id": "2",
            "grade": 1,
            "split": "test",
        },
    ]

    assert only_problem_of(dataset(judgments=judgments)) == (
        "judgments.jsonl, line 3, column split: ' SAW' has 'test' here and 'train' on line 1; "
        "keep each query in one split"
    )


def test_unknown_splits_are_refused(dataset, only_problem_of):
    problem = only_problem_of(dataset(judgments=[JUDGMENT | {"split": "valid"}]))

    assert problem == (
        "judgments.jsonl, line 1, column split: 'valid' is unknown; use train, dev or test"
    )


@pytest.mark.parametrize("column", ["split", "query_id"])
def test_a_column_filled_for_some_judgments_only_is_refused(dataset, column, only_problem_of):
    judgments = [JUDGMENT | {column: "dev"}, {"query": "drill", "item_id": "1", "grade": 1}]

    assert only_problem_of(dataset(judgments=judgments)) == (
        f"judgments.jsonl, line 2, column {column}: missing; "
        f"give every judgment a {column}, or leave the whole column out"
    )


def test_a_pair_judged_twice_with_different_grades_names_both_rows(dataset, only_problem_of):
    judgments = [JUDGMENT, JUDGMENT | {"item_id": "2"}, JUDGMENT | {"grade": 3.0}]

    assert only_problem_of(dataset(judgments=judgments)) == (
        "judgments.jsonl, line 3, column grade: 'saw' and item '1' has 3.0 here and 1.0 on "
        "line 1; keep one judgment of each query and item"
    )


def test_one_id_for_two_queries_is_refused(dataset, only_problem_of):
    judgments = [JUDGMENT | {"query_id": "q"}, JUDGMENT | {"query_id": "q", "query": "axe"}]

    assert only_problem_of(dataset(judgments=judgments)) == (
        "judgments.jsonl, line 2, column query: 'q' has 'axe' here and 'saw' on line 1; "
        "give each query its own id"
    )


# dataset.json.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "dataset.json: cannot be read as JSON"),
        ('{"name": ', "dataset.json: cannot be read as JSON"),
        ("[]", "dataset.json: not a JSON object"),
        ('{"name": 3}', "dataset.json, name: 3 is not text"),
        ('{"name": " "}', "dataset.json, name: ' ' is not text"),
        ('{"grade_min": "1"}', "dataset.json, grade_min: '1' is not a finite number"),
        ('{"grade_min": NaN}', "dataset.json, grade_min: nan is not a finite number"),
        ('{"relevant_from": true}', "dataset.json, relevant_from: True is not a finite number"),
        ('{"relevant_from": null}', "dataset.json, relevant_from: None is not a finite number"),
    ],
)
def test_a_bad_info_file_is_refused(dataset, text, expected, only_problem_of):
    directory = dataset()
    (directory / "dataset.json").write_text(text)

    assert only_problem_of(directory).startswith(expected)


def test_an_info_file_that_is_not_utf8_is_refused(dataset, only_problem_of):
    directory = dataset()
    (directory / "dataset.json").write_bytes(b'{"name": "L\xe4den"}')

    assert only_problem_of(directory).startswith("dataset.json: cannot be read as JSON")


# Problems of all kinds at once.


def test_all_problems_of_all_files_are_reported_together(dataset, problems_of):
    directory = dataset(
        info={"grade_min": "low"},
        items=[{"item_id": "1", "title": ""}, {"item_id": "1", "title": "Saw", "price": "x"}],
        judgments=[JUDGMENT | {"grade": float("nan"), "split": "eval"}],
        events=[EVENT | {"position": -3, "type": "buy"}],
        users=[{"name": "Ann"}],
    )

    places = [problem.split(":")[0] for problem in problems_of(directory)]

    assert places == [
        "dataset.json, grade_min",
        "items.jsonl, line 2, column price",
        "items.jsonl, line 1, column title",
        "items.jsonl, line 2, column item_id",
        "judgments.jsonl, line 1, column grade",
        "judgments.jsonl, line 1, column split",
        "events.jsonl, line 1, column type",
        "events.jsonl, line 1, column position",
        "users.jsonl, column user_id",
    ]


def test_an_unreadable_table_does_not_hide_problems_of_the_others(dataset, problems_of):
    directory = dataset(judgments=[JUDGMENT | {"grade": None}])
    (directory / "items.jsonl").unlink()
    (directory / "items.parquet").write_bytes(b"no")

    first, second = problems_of(directory)

    assert first.startswith("items.parquet: cannot be read")
    assert second.startswith("judgments.jsonl, line 1, column grade")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_ten_thousand_rows_with_one_problem_are_one_problem(dataset, suffix, only_problem_of):
    items = [{"item_id": str(n), "title": "Saw" if n < 3 else " "} for n in range(10_003)]

    problem = only_problem_of(dataset(suffix, items=items))

    unit, first = {".parquet": ("row", 4), ".jsonl": ("line", 4), ".csv": ("line", 5)}[suffix]
    assert problem == (
        f"items{suffix}, {unit} {first}, column title: missing or blank; every row needs one "
        f"(10,000 {unit}s in all, also {first + 1}, {first + 2}, {first + 3}, {first + 4}, …)"
    )


def test_ten_thousand_wrong_types_are_one_problem(dataset, only_problem_of):
    items = [{"item_id": str(n), "title": "Saw", "price": "x" * (n % 2)} for n in range(20_000)]

    problem = only_problem_of(dataset(".csv", items=items))

    assert problem.startswith("items.csv, line 3, column price: 'x' is not a number")
    assert "(10,000 lines in all, also 5, 7, 9, 11, …)" in problem


def test_wrong_values_of_all_types_are_counted_together(dataset, only_problem_of):
    dates = ["2024-01-31", "2023-02-29", 5, "soon", None, "2024-13-01", ["2024-01-31"]]
    items = [{"item_id": str(n), "title": "Saw", "released": d} for n, d in enumerate(dates)]

    problem = only_problem_of(dataset(items=items))

    assert problem.startswith("items.jsonl, line 2, column released: '2023-02-29' is not a date")
    assert problem.endswith("(5 lines in all, also 3, 4, 6, 7)")


def test_a_long_value_is_cut_in_the_message(dataset, only_problem_of):
    problem = only_problem_of(dataset(items=items_with(price="ä" * 10_000)))

    assert len(problem) < 300


def test_the_message_lists_the_problems_and_says_how_rows_are_counted(dataset):
    directory = dataset(items=items_with(price=-1, rating=6))

    with pytest.raises(DatasetError) as caught:
        read_dataset(directory)

    lines = str(caught.value).splitlines()
    assert lines[0] == (
        f"dataset {directory}: 2 problems "
        "(lines and rows are counted from 1, a csv's header is line 1)"
    )
    assert lines[1].startswith("  - items.jsonl, line 2, column price")
    assert lines[2].startswith("  - items.jsonl, line 2, column rating")


def test_a_very_long_list_of_problems_is_cut_in_the_message_alone(tmp_path):
    problems = [f"problem {n}" for n in range(100)]

    error = DatasetError(tmp_path, problems)

    assert error.problems == tuple(problems)
    assert len(str(error).splitlines()) == 32
    assert str(error).endswith("and 70 more problems")
