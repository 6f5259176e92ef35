"""Rules as messages: round trips, refusals by path, and over a real channel."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import RequestError
from catalog.filters import Equals, Not, Prefix
from search.engine import Engine
from search.request import SearchRequest
from search.result import Degradation
from search.rules import (
    NO_RULES,
    Adjustment,
    Boost,
    Cap,
    Effect,
    Pin,
    PinProblem,
    Promotion,
    RuleReport,
    Rules,
)
from server.convert import search as search_messages
from server.convert.rules import adjustment_message, report_message, rules_message, rules_record
from shortlist import filters
from shortlist.client import Client, ShortlistError
from shortlist.rules import category_cap, rules
from shortlist.v1 import event_pb2, rules_pb2, search_service_pb2
from shortlist.v1.filter_pb2 import Filter
from tests.server.convert.manifests import manifest

ROOT = Path(__file__).resolve().parents[3]
CHARGERS = filters.prefix("category", "Electronics > Chargers")
VOLTIX = filters.equals("brand", "Voltix")

EVERY_RULE = rules(
    exclude=["Ch-1-voltix", "Ch-2-voltix"],
    boosts=[(VOLTIX, 0.5), (filters.equals("in_stock", False), -1.5)],
    diversity=0.25,
    caps=[rules_pb2.Cap(field="brand", max_results=2), category_cap(3, level=2)],
    pins={"Ch-65-ampere": 2, "Ca-1-ampere": 4},
    promotions=[
        rules_pb2.Promotion(promotion_id="ads", item_ids=["Ca-2-voltix"], daily_budget=9.5),
        rules_pb2.Promotion(
            promotion_id="summer",
            item_ids=["Ca-1-ampere"],
            daily_budget=20,
            cost=0.5,
            charged=event_pb2.EVENT_TYPE_IMPRESSION,
            min_relevance=0.0,
        ),
    ],
    promoted_share=0.1,
)
EVERY_RECORD = Rules(
    excluded_item_ids=("Ch-1-voltix", "Ch-2-voltix"),
    boosts=(Boost(Equals("brand", "Voltix"), 0.5), Boost(Equals("in_stock", False), -1.5)),
    diversity=0.25,
    caps=(Cap("brand", 2), Cap("category", 3, category_level=2)),
    pins=(Pin("Ch-65-ampere", 2), Pin("Ca-1-ampere", 4)),
    promotions=(
        Promotion("ads", ("Ca-2-voltix",), 9.5, cost=1.0, charged="click", min_relevance=0.5),
        Promotion("summer", ("Ca-1-ampere",), 20.0, 0.5, "impression", 0.0),
    ),
    promoted_share=0.1,
)


# ---- messages


def test_every_rule_becomes_what_it_says() -> None:
    sent = rules_pb2.Rules.FromString(EVERY_RULE.SerializeToString())
    assert rules_record(sent) == EVERY_RECORD
    assert rules_record(rules_message(EVERY_RECORD)) == EVERY_RECORD
    by_filter = rules(exclude=filters.negate(VOLTIX), caps={"group_id": 1})
    assert rules_record(by_filter) == Rules(
        excluded=Not(Equals("brand", "Voltix")), caps=(Cap("group_id", 1),)
    )
    assert rules_record(rules()) == rules_record(rules_pb2.Rules()) == NO_RULES


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (rules_pb2.Rules(excluded=Filter()), "rules.excluded"),
        (rules_pb2.Rules(boosts=[rules_pb2.Boost(strength=1)]), "rules.boosts[0].filter"),
        (rules(boosts=[(VOLTIX, 1), (filters.negate(Filter()), 1)]),
         "rules.boosts[1].filter.not_filter"),
    ],
)  # fmt: skip
def test_a_rule_of_no_shape_is_refused_by_its_place(message: rules_pb2.Rules, path: str) -> None:
    with pytest.raises(RequestError) as refused:
        rules_record(message)
    assert refused.value.field == path


def test_what_rules_did_is_told_by_kind() -> None:
    boosted = adjustment_message(Adjustment("boosts[1]", Effect.BOOSTED, -0.5))
    assert (boosted.rule, boosted.WhichOneof("effect")) == ("boosts[1]", "score_change")
    assert boosted.score_change == -0.5
    moved = adjustment_message(Adjustment("diversity", Effect.DIVERSIFIED, 0.0, 3, 5))
    assert (moved.move.from_position, moved.move.to_position) == (3, 5)
    pinned = adjustment_message(Adjustment("pins[0]", Effect.PINNED, to_position=2))
    assert pinned.pinned_position == 2
    behind = adjustment_message(Adjustment("out_of_stock", Effect.OUT_OF_STOCK))
    assert (behind.rule, behind.out_of_stock) == ("out_of_stock", True)
    problems = {
        None: rules_pb2.PIN_PROBLEM_UNSPECIFIED,
        PinProblem.UNKNOWN_ITEM: rules_pb2.PIN_PROBLEM_UNKNOWN_ITEM,
        PinProblem.FILTERED_OUT: rules_pb2.PIN_PROBLEM_FILTERED_OUT,
        PinProblem.EXCLUDED: rules_pb2.PIN_PROBLEM_EXCLUDED,
        PinProblem.REPLACED: rules_pb2.PIN_PROBLEM_REPLACED,
    }
    assert set(problems) == {None, *PinProblem}
    for problem, value in problems.items():
        message = report_message(RuleReport("pins[0]", 0, problem))
        assert (message.rule, message.affected_count, message.pin_problem) == (
            "pins[0]",
            0,
            value,
        )


# ---- over a real channel


def test_a_search_by_rules_answers_as_the_engine_does(client: Client, engine: Engine) -> None:
    response = client.search(
        "usb c charger", filter=CHARGERS, rules=EVERY_RULE, page_size=30, ignore_stock=True
    )
    expected = engine.search(
        SearchRequest(
            "usb c charger",
            page_size=30,
            filter=Prefix("category", "Electronics > Chargers"),
            rules=EVERY_RECORD,
        )
    )
    assert [r.item_id for r in response.results] == [hit.item_id for hit in expected.hits]
    assert len(response.results) == 3  # the cap is three results per category
    for result, hit in zip(response.results, expected.hits, strict=True):
        assert list(result.adjustments) == [adjustment_message(a) for a in hit.adjustments]
        changes = sum(a.score_change for a in result.adjustments)
        assert result.score == pytest.approx(result.base_score + changes)
    assert response.results[1].item_id == "Ch-65-ampere"
    assert response.results[1].adjustments[-1].pinned_position == 2
    told = {report.rule: report for report in response.rules}
    assert list(told) == [
        "excluded_item_ids", "boosts[0]", "boosts[1]", "diversity", "caps[0]", "caps[1]", "pins[0]",
        "pins[1]", "promotions[0]", "promotions[1]",
    ]  # fmt: skip
    assert told["excluded_item_ids"].affected_count == 2
    assert told["pins[1]"].pin_problem == rules_pb2.PIN_PROBLEM_FILTERED_OUT
    assert response.matched_count == 22


def test_both_pages_of_a_streamed_search_obey_the_rules(client: Client) -> None:
    first, last = client.stream_search("usb c charger", filter=CHARGERS, rules=EVERY_RULE)
    for page, rerank_depth in ((first.search, 0), (last.search, None)):
        plain = client.search(
            "usb c charger", filter=CHARGERS, rules=EVERY_RULE, rerank_depth=rerank_depth
        )
        assert list(page.results) == list(plain.results)
        assert list(page.rules) == list(plain.rules)
        assert page.results[1].item_id == "Ch-65-ampere"
    with pytest.raises(ShortlistError) as failed:
        list(client.stream_search("usb", rules=rules(diversity=2)))
    assert [v.field for v in failed.value.field_violations] == ["search.rules.diversity"]


def test_pages_by_rules_behind_one_reranked_less_are_reranked_alike(engine: Engine) -> None:
    pinned = rules(pins={"Ch-65-ampere": 2, "Ca-1-ampere": 12})
    message = search_service_pb2.SearchRequest(query="usb c charger", rules=pinned)
    request = search_messages.search_request(message, manifest(), None)
    short = engine.search(replace(request, rerank_limit=7))
    assert (short.reranked, short.degradations) == (7, (Degradation.RERANK_SHORTENED,))
    response = search_messages.search_response(request, short, manifest())
    message.page_token = response.next_page_token
    later = search_messages.search_request(message, manifest(), None)
    assert (later.offset, later.rerank_limit, later.rules) == (10, 7, request.rules)


def test_without_rules_nothing_is_said_of_any(client: Client) -> None:
    plain = client.search("usb c charger")
    empty = client.search("usb c charger", rules=rules())
    for response in (plain, empty):
        assert not response.rules
        assert not any(r.adjustments or r.HasField("base_score") for r in response.results)
        assert "rules" not in {stage.name for stage in response.stages}
    assert [r.item_id for r in plain.results] == [r.item_id for r in empty.results]


@pytest.mark.parametrize("query", ["usb c charger", ""])
def test_pages_by_rules_are_parts_of_one_list(client: Client, query: str) -> None:
    given = rules(
        exclude=VOLTIX,
        boosts=[(filters.equals("in_stock", True), 1)],
        diversity=0.5,
        caps={"brand": 9},
        pins={"Ch-1-ampere": 1, "Ch-100-ampere": 13},
    )
    whole = client.search(query, filter=CHARGERS, rules=given, page_size=100)
    seen: list[str] = []
    token = ""
    while token or not seen:
        page = client.search(query, filter=CHARGERS, rules=given, page_size=5, page_token=token)
        seen += [result.item_id for result in page.results]
        token = page.next_page_token
    assert seen == [result.item_id for result in whole.results]
    assert (seen[0], seen[12]) == ("Ch-1-ampere", "Ch-100-ampere")
    assert len(seen) == len(set(seen)) == 16


def test_a_page_token_fits_only_its_own_rules(client: Client) -> None:
    token = client.search("usb", page_size=2, rules=rules(diversity=0.5)).next_page_token
    assert client.search("usb", page_size=2, page_token=token, rules=rules(diversity=0.5)).results
    for other in (rules(diversity=0.4), rules(), None):
        with pytest.raises(ShortlistError, match="is not a token for this search"):
            client.search("usb", page_size=2, page_token=token, rules=other)


# ---- the docs


def test_the_rules_of_the_docs_do_what_they_show(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "ranking.md").read_text("utf-8")
    [example, _] = re.findall(r"```python\n(.*?)```", text, re.S)
    program = example.replace("127.0.0.1:50051", address).replace("=2.0", "=30.0")
    exec(compile(program, "ranking.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 Ch-65-voltix")
    assert "pins[0]" in lines[0]
    assert any("boosts[0] +0.5" in line for line in lines[:10])
    assert "pins[1] 0 PIN_PROBLEM_UNKNOWN_ITEM" in lines


@pytest.mark.parametrize(("name", "most"), [("boosts", 20), ("caps", 10), ("pins", 50)])
def test_long_lists_of_rules_are_refused_before_they_are_converted(name: str, most: int) -> None:
    message = rules_pb2.Rules()
    for _ in range(most):
        getattr(message, name).add()
    if name == "boosts":
        for boost in message.boosts:
            boost.filter.CopyFrom(VOLTIX)
    assert len(getattr(rules_record(message), name)) == most
    getattr(message, name).add()
    problem = f"has {most + 1} entries; give at most {most}"
    with pytest.raises(RequestError, match=problem) as refused:
        rules_record(message)
    assert refused.value.field == f"rules.{name}"
