"""Changes of curations that break a limit."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from live.log.curations import Action, CurationChange
from search.curation.curation import Curation, QueryRules
from search.curation.json_form import to_json
from search.rules import Boost, Pin, Rules
from search.understanding.synonyms import SynonymRule
from shortlist import filters
from shortlist.rules import rules
from shortlist.v1 import curation_service_pb2 as pb
from tests.refusals.filters import VOLTIX
from tests.refusals.refusal import Refusal

NOW = datetime(2026, 1, 31, tzinfo=UTC)
RULE = SynonymRule("sofa, couch")
RULE_MESSAGE = pb.SynonymRule(line="sofa, couch")


def curation_refusals() -> Iterator[Refusal]:
    yield from _content_refusals()
    yield from _change_refusals()


def _content_refusals() -> Iterator[Refusal]:
    def synonyms(error: str, line: str, language: str = ""):
        python = partial(Curation, "c", SynonymRule(line, language))
        message = pb.SynonymRule(line=line, language=language)
        return Refusal(f"synonyms.{error}", python, pb.SetCurationRequest(synonyms=message))

    def of_query(error: str, record: QueryRules, **fields: Any):
        message = pb.SetCurationRequest(query_rules=pb.QueryRules(**fields))
        return Refusal(f"query_rules.{error}", partial(Curation, "c", record), message)

    yield synonyms("line: has 0 characters; give 1 to 2,000", "")
    yield synonyms("line: has 2,001 characters; give 1 to 2,000", "x" * 2_001)
    yield synonyms("line: has 51 phrases; give at most 50", ", ".join(map(str, range(51))))
    yield synonyms("line: has a line break; give each rule to a curation of its own", "a, b\nc, d")
    yield synonyms(
        "line: has only one phrase; add a synonym after a comma, or remove the line", "sofa"
    )
    yield synonyms(
        "line: has no phrase on one side of =>; add one, or remove the line", "# nothing"
    )
    yield synonyms("line: has two arrows; write each rule on a line of its own", "a => b => c")
    yield synonyms(
        "language: is no language tag; give a tag such as en or pt-BR", "sofa, couch", "e n"
    )
    for count in (0, 101):
        queries = tuple(map(str, range(count)))
        yield of_query(
            f"queries: has {count} entries; give 1 to 100", QueryRules(queries), queries=queries
        )
    blank = ("sofa", " ")
    yield of_query(
        "queries[1]: is empty; give the words to search for", QueryRules(blank), queries=blank
    )
    yield of_query(
        "queries[0]: has 2,001 characters; give 1 to 2,000",
        QueryRules(("x" * 2_001,)),
        queries=["x" * 2_001],
    )
    yield of_query(
        "rules.pins[0].position: is 51; give 1 to 50",
        QueryRules(("sofa",), Rules(pins=(Pin("a", 51),))),
        queries=["sofa"],
        rules=rules(pins={"a": 51}),
    )
    yield of_query(
        "rules.boosts[0].strength: is 11.0; give -10 to 10",
        QueryRules(("sofa",), Rules(boosts=(Boost(VOLTIX, 11.0),))),
        queries=["sofa"],
        rules=rules(boosts=[(filters.equals("brand", "Voltix"), 11.0)]),
    )
    long = tuple(f"{number:066d}" for number in range(1_000))
    record = QueryRules(("sofa",), Rules(excluded_item_ids=long))
    yield Refusal(
        "query_rules: has 69,068 bytes; give at most 65,536",
        partial(to_json, record),
        pb.SetCurationRequest(
            query_rules=pb.QueryRules(queries=["sofa"], rules=rules(exclude=long))
        ),
    )


def _change_refusals() -> Iterator[Refusal]:
    def refusal(error: str, message: pb.SetCurationRequest | None = None, **fields: Any):
        values = {"request_id": "r", "curation_id": "c", "action": Action.SET, "time": NOW}
        return Refusal(error, partial(CurationChange, **(values | fields)), message)

    def change(error: str, **fields: Any):
        message = pb.SetCurationRequest(synonyms=RULE_MESSAGE, **fields)
        return refusal(error, message, **fields)

    yield change("request_id: has 65 characters; give 1 to 64", request_id="r" * 65)
    yield change("curation_id: has 65 characters; give 1 to 64", curation_id="c" * 65)
    yield change("author: has 101 characters; give at most 100", author="a" * 101)
    yield change("expected_revision: is negative; give 0 or a revision", expected_revision=-1)
    for name in ("request_id", "curation_id"):
        yield refusal(f"{name}: has 0 characters; give 1 to 64", **{name: ""})
    surrogate = "has a lone surrogate (half a character); remove it"
    for name in ("request_id", "curation_id", "author"):
        yield refusal(f"{name}: {surrogate}", **{name: "\ud800"})
    yield Refusal(
        f"synonyms.line: {surrogate}", partial(Curation, "c", SynonymRule("a, \ud800")), None
    )
    yield Refusal(
        f"query_rules.queries[0]: {surrogate}",
        partial(Curation, "c", QueryRules(("\ud800",))),
        None,
    )
