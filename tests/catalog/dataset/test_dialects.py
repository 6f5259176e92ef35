"""csv files with other separators, decimal commas and long cells."""

import pytest

from tests.catalog.dataset.tables import column, write_text


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("item_id;title;price\na;Stuhl;10,5\nb;Tisch;1.234,50\n", [10.5, 1234.5]),
        ("item_id;title;price\na;chair;10.5\nb;table;1.25\n", [10.5, 1.25]),
        ("item_id\ttitle\tprice\na\tchair\t10.5\nb\ttable, oak\t20\n", [10.5, 20.0]),
        ("item_id|title|price\na|chair|10.5\nb|table|20\n", [10.5, 20.0]),
        ("sep=;\nitem_id;title;price\na;Stuhl;10,5\nb;Tisch;20\n", [10.5, 20.0]),
        ("\ufeffitem_id;title;price\na;Stuhl;1\u202f234,5\nb;Tisch;20\n", [1234.5, 20.0]),
    ],
    ids=["semicolon", "semicolon with points", "tab", "pipe", "sep", "byte order mark"],
)
def test_delimiters_and_decimal_commas_are_recognised(tmp_path, text, prices):
    assert column(write_text(tmp_path, "items.csv", text), "price") == prices


@pytest.mark.parametrize(
    ("cells", "unclear"),
    [(["1,234", "12,000"], "1,234"), (["1.234", "7"], "1.234")],
    ids=["commas", "points"],
)
def test_a_sign_that_may_be_decimal_or_group_thousands_is_refused(
    tmp_path, problems_of, cells, unclear
):
    text = "item_id;title;price\n" + "".join(f"{n};x;{cell}\n" for n, cell in enumerate(cells))
    problem, *_ = problems_of(write_text(tmp_path, "items.csv", text))
    assert problem.startswith(f"items.csv, column price: '{unclear}' has a sign that may be")


def test_thousands_beside_decimal_points_are_refused_by_line(tmp_path, only_problem_of):
    text = "item_id\ttitle\tprice\n1\tx\t1,234\n2\ty\t10.50\n"
    problem = only_problem_of(write_text(tmp_path, "items.csv", text))
    assert problem.startswith("items.csv, line 2, column price: '1,234' is not a number")


def test_decimal_commas_hold_for_the_whole_column(tmp_path):
    rows = 70_000  # more than a batch
    cells = ["10,50"] * rows + ["1.234"]
    text = "item_id;title;price\n" + "".join(f"{n};x;{cell}\n" for n, cell in enumerate(cells))
    prices = column(write_text(tmp_path, "items.csv", text), "price")
    assert prices[0] == 10.5
    assert prices[-1] == 1234.0


def test_hexadecimal_numbers_are_refused(tmp_path, only_problem_of):
    text = "item_id,title,rating_count\n1,x,0x10\n"
    problem = only_problem_of(write_text(tmp_path, "items.csv", text))
    assert problem.startswith(
        "items.csv, line 2, column rating_count: '0x10' is not a whole number"
    )


def test_lines_are_counted_behind_a_separator_line(tmp_path, only_problem_of):
    text = "sep=;\nitem_id;title;price\na;Stuhl;teuer\n"
    problem = only_problem_of(write_text(tmp_path, "items.csv", text))
    assert problem.startswith("items.csv, line 3, column price: 'teuer' is not a number")


def test_a_cell_may_be_longer_than_the_standard_library_s_limit(tmp_path):
    description = "word " * 40_000
    text = f'item_id,title,description\na,manual,"{description}"\n'
    assert column(write_text(tmp_path, "items.csv", text), "description") == [description]
