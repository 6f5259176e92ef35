"""Every value of a messy export of each format equals a table written by hand."""

import pytest

from catalog.importing.formats import FORMATS
from catalog.importing.mapping import read_mapping
from tests.catalog.importing.imports import run, table
from tests.catalog.importing.made import EXPORTS


@pytest.mark.parametrize("name", EXPORTS)
def test_every_value_equals_the_expected_table(tmp_path, name):
    made = EXPORTS[name]
    options = dict(made.options)
    if made.mapping:
        (tmp_path / "mapping.toml").write_text(made.mapping, "utf-8")
        options["mapping"] = read_mapping(tmp_path / "mapping.toml")
    report = run(tmp_path, made.files, **options)
    assert report.problems == []
    assert table(tmp_path) == made.items
    judged = table(tmp_path, "judgments") if made.judgments else []
    found = [(j["query"], j["item_id"], j["grade"]) for j in judged]
    assert found == list(made.judgments)
    assert (table(tmp_path, "events") if made.events else []) == list(made.events)
    assert {reason: entry.rows for reason, entry in report.left_out.items()} == made.left_out
    assert [name for s in report.sources for name in s.unused] == list(made.unused)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_there_is_an_export_of_every_format(known):
    assert any(name.startswith(known.name) for name in EXPORTS)
