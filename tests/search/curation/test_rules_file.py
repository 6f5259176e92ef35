"""`rules.jsonl`: rules by query of a dataset."""

from pathlib import Path

import pytest

from base.errors import InputError
from catalog.filters import Equals
from search.curation.curation import Curation, QueryRules
from search.curation.rules_file import parse_rules, read_rules
from search.rules import Boost, Pin, Rules

LINE = '{"id": "sofas", "queries": ["Sofa", "couch"], "rules": {"pins": [{"item_id": "s", "position": 1}]}}'  # noqa: E501


def test_each_line_is_a_curation() -> None:
    boost = '{"filter": {"equals": {"field": "brand", "value": "Zyx\u2028"}}, "strength": -1}'
    other = f'{{"id": "lamps", "queries": ["lamp"], "rules": {{"boosts": [{boost}]}}}}'
    assert parse_rules(f"{LINE}\r\n\n{other}\n") == (
        Curation("sofas", QueryRules(("Sofa", "couch"), Rules(pins=(Pin("s", 1),)))),
        Curation(
            "lamps",
            QueryRules(("lamp",), Rules(boosts=(Boost(Equals("brand", "Zyx\u2028"), -1.0),))),
        ),
    )


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("sofa", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"queries": ["bed"], "rules": {}}', "id: is missing; add it"),
        ('{"id": 3, "queries": ["bed"], "rules": {}}', "id: is invalid; give a text"),
        ('{"id": "", "queries": ["bed"], "rules": {}}', "id: has 0 characters; give 1 to 64"),
        ('{"id": "b", "queries": [], "rules": {}}', "queries: has 0 entries; give 1 to 100"),
        ('{"id": "b", "query": "bed", "rules": {}}', "query: is unknown; give id, queries, rules"),
        (
            '{"id": "b", "queries": ["b"], "rules": {"pins": [{"item_id": "s", "position": 99}]}}',
            "rules.pins[0].position: is 99; give 1 to 50",
        ),
        ('{"id": "sofas", "queries": ["bed"], "rules": {}}', "id 'sofas': is in line 2 too"),
        ('{"id": "b", "queries": [" SOFA "], "rules": {}}', "query 'sofa': is in line 2 too"),
    ],
)
def test_a_line_without_valid_rules_is_named(line: str, error: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_rules(f"\n{LINE}\n{line}\n", "shop.jsonl")
    assert f"shop.jsonl, line 3: {error}" in str(refused.value)


def test_a_query_may_be_twice_in_one_line() -> None:
    [curation] = parse_rules('{"id": "s", "queries": ["Sofa", "sofa"], "rules": {}}')
    assert isinstance(curation.content, QueryRules)
    assert curation.content.texts == ("sofa",)


def test_a_directory_without_the_file_has_no_rules(tmp_path: Path) -> None:
    assert read_rules(tmp_path) == ()
