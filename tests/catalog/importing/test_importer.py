"""Recognition of formats, refusals, the report, and that nothing is half-written."""

import json

import pytest

from base.errors import InputError
from catalog.dataset.reading import read_dataset
from catalog.importing.importer import import_exports
from catalog.importing.mapping import read_mapping
from tests.catalog.importing.imports import items, run, table, write

FEED = "id\ttitle\tprice\tavailability\n1\tLamp\t5 EUR\tin stock\n"


@pytest.mark.parametrize(
    ("files", "options", "problem"),
    [
        (
            {"a.csv": "foo,bar\n1,2\n"},
            {},
            "a.csv: of no known format (columns: foo, bar); name its columns in a file for "
            "--mapping",
        ),
        (
            {"a.csv": "foo,bar\n1,2\n"},
            {"format": "ubi"},
            "a.csv: no file of OpenSearch UBI events (JSON lines), which has the columns "
            "action_name, event_attributes or query_id, user_query (columns: foo, bar)",
        ),
        (
            {"a.tsv": FEED.encode("utf-16-le")},
            {},
            "a.tsv: is no UTF-8 text, because it has NUL characters; name its encoding with "
            "--encoding, such as utf-16-le",
        ),
        (
            {"a.tsv": FEED.replace("Lamp", "ソファー").encode("shift-jis")},
            {},
            "a.tsv: cannot be read ('charmap' codec can't decode byte 0x81 in position ",
        ),
        ({"a.csv": ""}, {}, "a.csv: of no known format (columns: none)"),
        ({"a.xlsx": b"PK\x03\x04"}, {}, "a.xlsx: a zip archive or an Excel file; give a csv"),
        ({"a.csv": FEED}, {"encoding": "klingon"}, "a.csv: cannot be read (unknown encoding"),
        (
            {"a.csv": FEED.replace("\t", ",") + '2,"open,1,\n'},
            {},
            "a.csv: cannot be read (line 3: ",
        ),
        (
            {"a.tsv": (FEED + "2\tCafé für Ärzte\t1\t\n").encode() + b"3\t\xff\t1\t\n"},
            {},
            "a.tsv, line 4: not UTF-8 text, but other lines are; export the file again",
        ),
        ({"a.json": '[{"id": 1},'}, {}, "a.json, line 1: not JSON (Expecting value)"),
        ({"a.json": "[" * 100_000}, {}, "a.json: nested too deeply"),
        ({"a.tsv": FEED[:30]}, {}, ""),
        (
            {"a.tsv": "id\ttitle\tprice\tlink\n1\tLamp\t1,234\tx\n2\tLamp\t2\tx\n"},
            {},
            "a.tsv, line 2, column price: '1,234' has a sign that may be decimal or may group",
        ),
        (
            {"ubi.ndjson": '{"action_name": "click", "event_attributes": {"a": 1}}'},
            {},
            "ubi.ndjson: no items; give the export of the products",
        ),
    ],
)
def test_a_refusal_names_the_file_and_what_to_do(tmp_path, monkeypatch, files, options, problem):
    with pytest.raises(InputError) as caught:
        run(tmp_path, files, **options)
    message = str(caught.value).replace(f"{tmp_path}/", "")
    assert message.startswith(problem)
    assert not (tmp_path / "dataset").exists()
    if "codec" in problem:
        assert message.endswith("name its encoding with --encoding")


BAD = (
    "id\ttitle\tprice\tavailability\n"
    "1\tLamp\tcheap\tin stock\n"
    "2\t\t5 EUR\tperhaps\n"
    "1\tOther lamp\t5 EUR\tin stock\n"
    "3\tDesk\t5 EUR\n"
    "4\tChair\t10-20 EUR\tin stock\n"
    "5\tSofa\t500 EUR\tin stock\n"
    "5\tSofa\t500 EUR\tin stock\n"
)


def test_rows_with_problems_are_listed_with_line_and_column(tmp_path):
    report = run(tmp_path, {"feed.tsv": BAD})
    assert report.problems == [
        "feed.tsv, line 5: 3 cells, but the header names 4; correct the line",
        "feed.tsv, line 2, column price: 'cheap' is not one price; correct it or leave it empty "
        "(2 rows in all, also line 6)",
        "feed.tsv, line 3, column availability: 'perhaps' is not a known word for availability; "
        "correct it or leave it empty",
        "feed.tsv, line 3: no title, so the row is left out; give it a value",
        "feed.tsv, line 4: '1' is also on feed.tsv, line 2 with other values, so the row is left "
        "out; keep one of the rows",
    ]
    assert [item["item_id"] for item in table(tmp_path)] == ["1", "4", "5"]
    assert report.left_out["a repeated row of items"].rows == 1
    assert report.bad_share() == 5 / 7


def test_the_fields_that_cannot_be_read_are_known_by_item(tmp_path):
    header, *rows = BAD.splitlines(keepends=True)
    feed = "".join([header, *rows[:2], "6\tBed\t-5 EUR\tin stock\n"])
    money = {"price", "sale_price", "currency"}
    assert run(tmp_path, {"feed.tsv": feed}).unread == {"1": money, "2": {"in_stock"}, "6": money}
    assert "" in run(tmp_path, {"feed.tsv": BAD}).unread  # a line with too few cells


def test_quotes_inside_of_texts_lose_no_other_line(tmp_path):
    feed = FEED + '2\t"Best" shirt\t6 EUR\tin stock\n3\t"Open\t6 EUR\tin stock\n'
    titles = [item["title"] for item in items(tmp_path, {"feed.tsv": feed})]
    assert titles == ["Lamp", '"Best" shirt', '"Open']
    other = FEED + '2\t"Best" shirt\t6\tx\n3\t"a\n4\tb\n5\t"c"\t6\tx\n6\t"Sofa"\t7 EUR\tin stock\n'
    report = run(tmp_path, {"feed.csv": other.replace("\t", ",")})
    assert [item["title"] for item in table(tmp_path)] == ["Lamp", "Sofa"]
    assert report.problems == [
        "feed.csv, line 3: a quote is misplaced (',' expected after '\"'); correct the line "
        "(4 rows in all, also line 4, line 5, line 6)"
    ]


def test_a_guessed_encoding_is_a_warning(tmp_path):
    feed = {"feed.tsv": FEED.replace("Lamp", "Красный стул").encode("cp1251")}
    guessed = "feed.tsv: is not UTF-8, and was read as Windows-1252, such as 'Êðàñíûé ñòóë'; "
    assert run(tmp_path, feed).quality["warnings"][0].startswith(guessed)
    assert not any("1252" in each for each in run(tmp_path, {"feed.tsv": FEED}).quality["warnings"])
    assert items(tmp_path, feed, encoding="cp1251")[0]["title"] == "Красный стул"
    named = items(tmp_path, {"feed.tsv": b"\xef\xbb\xbf" + FEED.encode()}, encoding="UTF-8")
    assert named[0]["title"] == "Lamp"


def test_a_repeated_column_gives_a_list_all_its_values_and_other_fields_one(tmp_path):
    header = "id,title,price,availability,additional_image_link,additional_image_link,price\n"
    rows = "1,Lamp,5 EUR,in stock,a.jpg,b.jpg,5 EUR\n2,Sofa,5 EUR,in stock,,c.jpg,6 EUR\n"
    report = run(tmp_path, {"feed.csv": header + rows})
    lamp, sofa = table(tmp_path)
    assert (lamp["price"], lamp["image_url"]) == (5.0, "a.jpg")
    assert dict(lamp["attributes"])["more images"] == "b.jpg"
    assert sofa["image_url"] == "c.jpg"
    assert "price" not in sofa
    problem = "feed.csv, line 3, column price: occurs several times, with '5 EUR' and '6 EUR'; "
    assert [each.startswith(problem) for each in report.problems] == [True]


def test_files_beside_the_tables_of_a_directory_are_named_and_not_read(tmp_path):
    beside = {
        "dataset.json": "{}",
        "synonyms.txt": "a, b",
        "users.csv": "user_id\nu\n",
        "README.md": "# Export",
    }
    (tmp_path / "own").mkdir()
    write(tmp_path / "own", {"items.csv": "item_id,title\n1,Lamp\n", **beside})
    report = import_exports([tmp_path / "own"], tmp_path / "dataset")
    (entry,) = report.left_out.values()
    assert (entry.rows, entry.example) == (4, "README.md")


def test_a_currency_of_its_own_column_decides_what_a_sign_means(tmp_path):
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        '[items]\nitem_id = "id"\ntitle = "t"\nprice = "p"\ncurrency = "c"\n', "utf-8"
    )
    files = {"a.csv": "id;t;p;c\n1;Sofa;1,299;JPY\n2;Lamp;800;JPY\n"}
    found = items(tmp_path, files, mapping=read_mapping(mapping))
    assert [(each["price"], each["currency"]) for each in found] == [
        (1299.0, "JPY"),
        (800.0, "JPY"),
    ]


def test_the_name_of_a_file_may_be_in_capitals(tmp_path):
    assert items(
        tmp_path, {"FEED.JSON": '{"products": [{"id": "1", "title": "Lamp", "price": "5"}]}'}
    )


def test_too_many_problems_stop_the_import(tmp_path):
    with pytest.raises(InputError) as caught:
        run(tmp_path, {"feed.tsv": BAD}, max_bad_share=0.5)
    first, *problems = str(caught.value).splitlines()
    assert "more than 50% of the rows (see --max-bad-rows): 5 problems" in first
    assert len(problems) == 5
    assert not (tmp_path / "dataset").exists()
    run(tmp_path, {"feed.tsv": BAD}, max_bad_share=0.72)


def test_a_second_import_replaces_tables_and_keeps_other_files(tmp_path):
    assert len(items(tmp_path, {"feed.tsv": FEED})) == 1
    out = tmp_path / "dataset"
    (out / "synonyms.txt").write_text("lamp, light\n")
    (out / "dataset.json").write_text('{"name": "My shop"}')
    feed = "id\ttitle\timage link\tadditional image link\tavailability\n2\tDesk\ta\tb\tin stock\n"
    run(tmp_path, {"feed.tsv": feed})
    assert [item["item_id"] for item in table(tmp_path)] == ["2"]
    assert (out / "synonyms.txt").read_text() == "lamp, light\n"
    info = read_dataset(out).info
    assert info.name == "My shop"
    assert info.roles.stored_only == {"more images"}
    with pytest.raises(InputError):
        run(tmp_path, {"feed.tsv": "foo\nbar\n"})
    assert [item["item_id"] for item in table(tmp_path)] == ["2"]


def test_a_second_import_keeps_the_tables_that_it_does_not_write(tmp_path):
    run(tmp_path, {"feed.tsv": FEED})
    own = {
        "events.csv": "time,item_id,type\n2026-01-02T00:00:00Z,1,view\n",
        "judgments.csv": "query,item_id,grade\nlamp,1,2\n",
    }
    write(tmp_path / "dataset", own)
    run(tmp_path, {"feed.tsv": FEED.replace("Lamp", "Desk lamp")})
    assert table(tmp_path)[0]["title"] == "Desk lamp"
    assert {name: (tmp_path / "dataset" / name).read_text() for name in own} == own
    run(tmp_path, {"feed.tsv": FEED, "judgments.csv": "query,item_id,grade\nlight,1,1\n"})
    assert [row["query"] for row in table(tmp_path, "judgments")] == ["light"]


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="exists, but not from an import"):
        run(tmp_path, {"feed.tsv": FEED})
    assert [path.name for path in (tmp_path / "dataset").iterdir()] == ["thesis.tex"]


def test_the_quality_report_says_what_looks_wrong(tmp_path):
    rows = "".join(
        f"{n}\tKÃ¤se & Co\t&ltp&gt KÃ¤se\tAll\t400638133393{n}\tin stock\n" for n in range(3)
    )
    header = "id\ttitle\tdescription\tproduct type\tgtin\tavailability\n"
    run(tmp_path, {"feed.csv": header + rows})
    written = json.loads((tmp_path / "dataset" / "import-report.json").read_text("utf-8"))
    assert written["quality"]["warnings"] == [
        "brand: only 0% of the items have a value",
        "price: only 0% of the items have a value",
        "title: 3 values look like text in another encoding, such as 'KÃ¤se & Co'",
        "description: 3 values look like text in another encoding, such as '&ltp&gt KÃ¤se'",
        "category: all items have the same category, 'All'",
        "title: 1 title of several products, such as 'KÃ¤se & Co'",
        "identifiers: 2 codes of 12 to 14 digits with a wrong check digit, such as '4006381333930'",
    ]
    assert written["quality"]["filled"]["category"] == 1.0
    assert {"table": "items", "column": "gtin", "field": "identifiers", "rows": 3} in (
        written["fields"]
    )
    assert written["tables"] == {"items": 3}


def test_a_dataset_of_our_own_is_cleaned(tmp_path):
    files = {
        "items.csv": (
            'item_id,title,attributes\na,<b>Lamp</b>,"{""colour"": [""red"", ""blue""]}"\n'
        ),
        "events.csv": (
            "time,item_id,type,context\n"
            '2026-01-02T00:00:00Z,a,view,"{""device"": ""<b>phone</b>""}"\n'
        ),
        "judgments.jsonl": '{"query": "lamp", "item_id": "a", "grade": 2, "split": "test"}\n',
    }
    run(tmp_path, files)
    assert table(tmp_path) == [
        {"item_id": "a", "title": "Lamp", "attributes": [("colour", "red"), ("colour", "blue")]}
    ]
    [judgment] = table(tmp_path, "judgments")
    assert (judgment["grade"], judgment["split"]) == (2.0, "test")
    [event] = table(tmp_path, "events")
    assert event["context"] == [("device", "phone")]


def test_numbers_of_json_keep_their_value_beside_texts_with_decimal_commas(tmp_path):
    prices = ['"19,99 €"', "12.345", "1299.125", "7"]
    rows = (
        f'{{"item_id": "{n}", "title": "A{n}", "price": {price}, "rating": 4.125}}'
        for n, price in enumerate(prices)
    )
    found = items(tmp_path, {"items.json": f"[{', '.join(rows)}]"})
    assert [item["price"] for item in found] == [19.99, 12.345, 1299.125, 7.0]
    assert {item["rating"] for item in found} == {4.125}


UNCLEAR = "has a sign that may be decimal or may group thousands; say --decimal"


@pytest.mark.parametrize(
    ("rows", "options", "prices"),
    [
        # The rating does not tell how prices are written.
        (["1.299 €;4.5", "899 €;4.7"], {}, None),
        (["1.299 €;4.5", "899 €;4.7"], {"decimal": "comma"}, [1299, 899]),
        (["1.299,00 €;4.5", "899 €;4.7"], {}, [1299, 899]),
        # Prices tell how ratings are written that do not tell themselves.
        (["12.99;4.125", "8;4"], {}, [12.99, 8]),
        # One cell does not turn the thousands of many prices into decimals.
        (["$1,299;", "$2,499;", "$899;", "12,5;"], {}, None),
        (["$1,299;", "$2,499;", "$899;", "12.5;"], {}, [1299, 2499, 899, 12.5]),
        (["1,299;", "12,5;", "3,99;"], {}, [1.299, 12.5, 3.99]),
        # Yen have no decimals.
        (["¥1,299;", "¥800;"], {}, [1299, 800]),
        (["1.299;", "800;"], {"currency": "JPY"}, [1299, 800]),
        (["¥1,299;", "¥800;"], {"currency": "CNY"}, None),
    ],
)
def test_prices_and_other_numbers_decide_on_their_own_sign(tmp_path, rows, options, prices):
    lines = [f"{n};A{n};{row}" for n, row in enumerate(rows)]
    files = {"items.csv": "\n".join(["item_id;title;price;rating", *lines])}
    if prices is None:
        with pytest.raises(InputError, match=UNCLEAR):
            run(tmp_path, files, **options)
        return
    found = items(tmp_path, files, **options)
    assert [item["price"] for item in found] == prices
    assert all(3 < item.get("rating", 4) < 5 for item in found)


@pytest.mark.parametrize(
    ("dates", "sale"),
    [
        ("", 5.0),
        ("2024-06-01/2024-06-30", 5.0),
        ("2024-06-01/", 5.0),
        ("01.02.2020/01.03.2020", None),
        ("2024-06-01/30.06.2024", None),
        ("01.02.2020", None),
    ],
)
def test_a_sale_whose_dates_cannot_be_read_does_not_run(tmp_path, dates, sale):
    header = "id\ttitle\tavailability\tprice\tsale price\tsale price effective date\n"
    report = run(tmp_path, {"feed.tsv": f"{header}1\tLamp\tin stock\t10 EUR\t5 EUR\t{dates}\n"})
    [item] = table(tmp_path)
    assert (item["price"], item.get("sale_price")) == (10.0, sale)
    assert ("a sale price whose dates cannot be read" in report.left_out) == (sale is None)
    assert bool(report.problems) == (sale is None)
