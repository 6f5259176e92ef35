"""Exports of any other shop, with a mapping file."""

import json

import pytest

from base.errors import InputError
from catalog.importing.mapping import read_mapping
from tests.catalog.importing.imports import run, table

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
