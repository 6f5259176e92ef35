"""Curations as JSON: what is written is read again, and other JSON is refused."""

import datetime
import json

import pytest

from base.errors import RequestError
from catalog.filters import And, Equals, Exists, In, Interval, Not, Or, Prefix, Range
from search.curation.curation import Curation, QueryRules
from search.curation.json_form import from_json, to_json
from search.rules import Boost, Cap, Pin, Promotion, Rules
from search.understanding.synonyms import SynonymRule

FILTERS = (
    Equals("brand", "Ohm & Co", ignore_case=True),
    Equals("in_stock", False),
    Equals("released", datetime.date(2026, 1, 31)),
    In("attributes.colour", ("grün", "red")),
    In("price", (1.0, 2.5)),
    Range("price", Interval(above=-1.5, at_most=2.0)),
    Range("released", Interval(at_least=datetime.date(2024, 2, 29))),
    Exists("group_id"),
    Prefix("category", "Tools > Saws"),
    Not(Prefix("title", "a", ignore_case=True)),
    And((Or((Exists("price"), Exists("rating"))), Equals("category", "Tools"))),
)
EVERYTHING = Rules(
    ("a", "b"),
    Or(FILTERS),
    tuple(Boost(each, 1.5) for each in FILTERS),
    0.3,
    (Cap("brand", 3), Cap("category", 2, 1)),
    (Pin("ß", 1), Pin("a", 3)),
    (Promotion("ads", ("a", "ß"), 10.5, 0.25, "impression", 0.0), Promotion("b", ("b",), 1.0)),
    0.1,
)


@pytest.mark.parametrize(
    "content",
    [
        SynonymRule("sofa, couch", "de"),
        QueryRules(("Sofa", "沙发")),
        QueryRules(("sofa",), EVERYTHING),
    ],
    ids=["synonyms", "no rules", "all rules"],
)
def test_what_is_written_is_read_again(content) -> None:
    text = to_json(Curation("c", content).content)
    assert from_json(text) == content
    assert to_json(from_json(text)) == text


def rules_with(**rules: object) -> str:
    return json.dumps({"query_rules": {"queries": ["q"], "rules": rules}})


def boost(filter: object) -> dict:
    return {"boosts": [{"filter": filter, "strength": 1}]}


DEEP: dict = {"exists": {"field": "price"}}
for _ in range(60):
    DEEP = {"not_filter": DEEP}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[]", ": is invalid; give an object with synonyms, query_rules"),
        ("{}", "synonyms: is invalid; give an object with line, language"),
        ('{"synonyms": {"line": "a, b"}}', "synonyms.language: is missing; add it"),
        ('{"query_rules": {"queries": "q", "rules": {}}}', "query_rules.queries: is invalid; give"),
        ('{"query_rules": {"queries": [1], "rules": {}}}', "queries[0]: is invalid; give a text"),
        (rules_with(pin=[]), "query_rules.rules.pin: is unknown; give excluded_item_ids"),
        (rules_with(pins={}), "query_rules.rules.pins: is invalid; give a list"),
        (rules_with(pins=[{"item_id": "a"}]), "query_rules.rules.pins[0].position: is missing"),
        (rules_with(pins=[{"item_id": "a", "position": 1.5}]), "position: is invalid; give a w"),
        (rules_with(pins=[{"item_id": "a", "position": True}]), "position: is invalid; give a"),
        (rules_with(diversity="1"), "query_rules.rules.diversity: is invalid; give a number"),
        (rules_with(diversity=10**400), "query_rules.rules.diversity: is too large"),
        (rules_with(**boost({})), "boosts[0].filter: has 0 kinds of filter; give one"),
        (rules_with(**boost({"like": {}})), "boosts[0].filter.like: is unknown; give and_group"),
        (rules_with(**boost({"exists": "a"})), "filter.exists: is invalid; give an object"),
        (
            rules_with(**boost({"equals": {"field": "released", "value": "soon"}})),
            "filter.equals.value: is invalid; give a date such as 2026-01-31",
        ),
        (
            rules_with(**boost({"equals": {"field": "brand", "value": None}})),
            "filter.equals.value: is invalid; give a text, a number, true or false",
        ),
        (rules_with(**boost(DEEP)), "is on level 51; give fewer levels"),
    ],
)  # fmt: skip
def test_other_json_is_refused(text: str, error: str) -> None:
    with pytest.raises(RequestError) as refused:
        from_json(text)
    assert error in str(refused.value)
