"""Exports of any other shop, with a mapping file."""

import json

import pytest

from base.errors import InputError
from catalog.importing.mapping import read_mapping
from tests.catalog.importing.imports import run, table

MAPPING = """
[items]
item_id = "Art.-Nr."
title = "Bezeichnung"
description = ["Kurztext", "Langtext"]
categories = {column = "Pfad", split = "|", levels = "/"}
price = "Preis brutto"
list_price = "UVP"
in_stock = {column = "Lager", values = {rot = "no", "grün" = "yes"}}
identifiers = "EAN"
images = {column = "Bilder", split = " "}

[items.attributes]
colour = "Farbe"
size = {column = "Größen", split = ","}

[judgments]
query = "suche"
item_id = "artikel"
grade = {column = "note", values = {gut = 2, schlecht = 0}}
"""
EXPORT = (
    "sep=;\r\nArt.-Nr.;Bezeichnung;Kurztext;Langtext;Pfad;Preis brutto;UVP;Lager;EAN;Bilder;Farbe;"
    "Größen;Intern\r\n"
    "007;Stuhl „Köln“;Bequem;<p>Aus Holz</p>;Möbel/Stühle|Büro/Stühle;1.099,00 €;1.199,00 €;grün;"
    "'4006381333931;https://i/1.jpg https://i/2.jpg;rot;S, M;x\r\n"
    "008;Tisch;;;Möbel/Tische;89,5;;rot;;;;;x\r\n"
)
JUDGMENTS = "suche,artikel,note\nstuhl,007,gut\nstuhl,008,schlecht\nSTUHL,007,gut\n"


@pytest.fixture
def mapping(tmp_path):
    path = tmp_path / "mapping.toml"
    path.write_text(MAPPING, "utf-8")
    return read_mapping(path)


def test_every_value_of_a_german_export(tmp_path, mapping):
    files = {"artikel.csv": EXPORT.encode("cp1252"), "noten.csv": JUDGMENTS}
    report = run(tmp_path, files, mapping=mapping, currency="EUR", language="de")
    assert table(tmp_path) == [
        {
            "item_id": "007",
            "title": "Stuhl „Köln“",
            "description": "Bequem Aus Holz",
            "category": "Möbel > Stühle",
            "categories": ["Möbel > Stühle", "Büro > Stühle"],
            "price": 1199.0,
            "sale_price": 1099.0,
            "currency": "EUR",
            "language": "de",
            "in_stock": True,
            "identifiers": ["4006381333931"],
            "image_url": "https://i/1.jpg",
            "attributes": [
                ("colour", "rot"),
                ("size", "S"),
                ("size", "M"),
                ("more images", "https://i/2.jpg"),
            ],
        },
        {
            "item_id": "008",
            "title": "Tisch",
            "category": "Möbel > Tische",
            "price": 89.5,
            "currency": "EUR",
            "language": "de",
            "in_stock": False,
        },
    ]
    grades = [(j["query"], j["item_id"], j["grade"]) for j in table(tmp_path, "judgments")]
    assert grades == [("stuhl", "007", 2.0), ("stuhl", "008", 0.0)]
    assert [source.encoding for source in report.sources] == ["cp1252", "utf-8"]
    assert report.sources[0].unused == ["Intern"]
    assert report.filled["items", "Preis brutto", "price"] == 2
    assert report.left_out["a repeated row of judgments"].rows == 1


RECORDS = [
    {"Sku": 7, "Names": {"En": "Lamp"}, "Tags": ["warm", "small"], "Made": {"of": ["steel", 2.0]}},
    {"Sku": 8, "Names": {"En": "Desk"}, "Tags": [], "Made": None},
]
NESTED = """
[items]
item_id = "sku"
title = "names.en"
attributes = "made"
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("shop.json", json.dumps(RECORDS, indent=1)),
        ("shop.json", json.dumps({"total": 2, "products": RECORDS})),
        ("shop.json", "".join(json.dumps(record) + "\n" for record in RECORDS)),
        ("shop.jsonl", "\ufeff" + "\r\n".join(json.dumps(record) for record in RECORDS)),
    ],
    ids=["list", "object", "lines in .json", "lines"],
)
def test_json_in_several_forms(tmp_path, name, content):
    path = tmp_path / "mapping.toml"
    path.write_text(NESTED, "utf-8")
    run(tmp_path, {name: content}, mapping=read_mapping(path))
    assert table(tmp_path) == [
        {"item_id": "7", "title": "Lamp", "attributes": [("of", "steel"), ("of", "2")]},
        {"item_id": "8", "title": "Desk"},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("items = 3", "mapping.toml: 'items' is not a table; use items, judgments, events"),
        ("[items", "mapping.toml: cannot be read as TOML"),
        ('[items]\nitem_id = "a"', "mapping.toml, items: names no column for title; add it"),
        ('[items]\nitem_id = "a"\ntitle = 3', "mapping.toml, items.title: 3 names no column"),
        (
            '[items]\nitem_id = "a"\ntitle = {column = "b", splt = ","}',
            "mapping.toml, items.title: {'column': 'b', 'splt': ','} names no column",
        ),
        ('[items]\nitem_id = "a"\nname = "b"', "mapping.toml, items.name: no such field"),
        ('[judgments]\nquery="q"\nitem_id="i"\ngrade="g"', "mapping.toml: no table [items]"),
    ],
)
def test_a_wrong_mapping_is_refused_by_its_place(tmp_path, monkeypatch, text, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mapping.toml").write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_mapping((tmp_path / "mapping.toml").relative_to(tmp_path))
    assert str(caught.value).startswith(problem)
