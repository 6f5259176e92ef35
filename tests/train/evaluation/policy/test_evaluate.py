"""Estimates from the events of a dataset."""

import io
import json

import pyarrow as pa
import pytest
from rich.console import Console

from base.errors import InputError
from catalog.schema import EVENTS
from search.engine import Engine
from search.request import SearchRequest
from train.cli.main import main
from train.evaluation.policy.evaluate import (
    PolicyConfig,
    evaluate_policy,
    print_estimates,
    write_estimates,
)


def event(kind: str, request: str, item: str, position: int, **fields) -> dict:
    row = {"type": kind, "request_id": request, "item_id": item, "position": position}
    return {"query": "lamp", "propensity": 0.5, **row, **fields}


ROWS = [
    event("impression", "1", "a", 1),
    event("impression", "1", "b", 2),
    event("click", "1", "b", 2),
    event("click", "1", "b", 2),  # a second click is the same reward
    event("impression", "2", "b", 1, propensity=0.25),
    event("impression", "2", "a", 2, propensity=0.25),
    event("click", "2", "a", 2),
    event("purchase", "2", "a", 2),
    event("impression", "3", "c", 1, propensity=None),  # no exploration
    event("impression", "4", "c", 1, query=None),
    event("impression", "5", "c", 9),
    event("click", None, "a", 1),
]


def table(rows) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=EVENTS.arrow)


@pytest.mark.parametrize(
    ("target", "outcome", "value"),
    [
        ("ab", "click", (0 + 1 / 0.5) / 2),
        ("ba", "click", (0 + 1 / 0.25) / 2),
        ("bb", "click", (1 / 0.5 + 0) / 2),
        ("ba", "purchase", (1 / 0.25) / 2),
        ("c", "click", 0.0),
    ],
)
def test_rewards_are_those_of_requests_whose_lists_agree_with_the_target(target, outcome, value):
    found = evaluate_policy(table(ROWS), lambda _: list(target), outcome, positions=2)
    assert found.logged.queries == 2
    assert found.ips.mean == pytest.approx(value)


def test_a_position_counts_only_if_it_is_shown():
    found = evaluate_policy(table(ROWS), lambda _: ["a", "b"], "click", positions=1)
    assert found.ips.mean == 0.0
    assert found.support == pytest.approx((1 / 0.5) / 2)


@pytest.mark.parametrize("events", [None, table(ROWS[8:11])], ids=["no events", "no propensities"])
def test_events_without_propensities_are_refused(events):
    with pytest.raises(InputError, match="no impression at position 1 has a query"):
        evaluate_policy(events, lambda _: ["a"], "click", positions=2)


def test_an_impression_that_is_recorded_twice_counts_once():
    once = evaluate_policy(table(ROWS), lambda _: ["a", "b"], "click", positions=2)
    twice = evaluate_policy(table([*ROWS, *ROWS]), lambda _: ["a", "b"], "click", positions=2)
    assert twice == once


def test_a_later_page_is_no_search_of_its_own():
    page = [event("impression", "1b", "d", 3), event("impression", "1b", "e", 4)]
    found = evaluate_policy(table([*ROWS, *page]), lambda _: list("abde"), "click", positions=4)
    assert found.logged.queries == 2
    alone = evaluate_policy(table(ROWS), lambda _: list("abde"), "click", positions=4)
    assert found == alone


def test_a_report_of_one_search_is_json(tmp_path):
    found = evaluate_policy(table(ROWS[:4]), lambda _: ["a", "b"], "click", positions=2)
    write_estimates(found, tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert written["ips"] == {"mean": 2.0, "low": None, "high": None, "queries": 1}


def test_the_report_has_the_estimates_and_the_warning(tmp_path):
    found = evaluate_policy(table(ROWS), lambda _: ["a", "b"], "click", positions=2)
    console = Console(width=100, file=io.StringIO(), record=True)
    print_estimates(found, "click", console)
    text = console.export_text()
    assert "doubly robust" in text
    assert "warning: the effective sample size is" in text
    write_estimates(found, tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["ips"]["mean"] == found.ips.mean
    assert written["warning"] == found.warning


def test_the_number_of_positions_has_limits():
    with pytest.raises(InputError, match="--positions 0: give 1 to 100"):
        PolicyConfig("data", positions=0)


def test_a_query_that_cannot_be_searched_for_is_one_error(dataset, tiny_bundle, capsys):
    row = event("impression", "1", "a", 1, query="x" * 3_000, time="2024-01-31T12:00:00Z")
    data = dataset(items=[{"item_id": "a", "title": "a"}], events=[row])
    arguments = ["evaluate", "--task", "policy", "--data", str(data), "--bundle", str(tiny_bundle)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: events: the query 'xxx")
    assert "has 3,000 characters; give 1 to 2,000, or remove its events" in error


def test_the_command_evaluates_the_lists_of_a_bundle(dataset, tiny_bundle, tmp_path, capsys):
    found = Engine.load(tiny_bundle).search(SearchRequest("usb c charger", page_size=2)).hits
    first, second = (hit.item_id for hit in found)
    rows = [
        event("impression", "1", first, 1, query="usb c charger"),
        event("impression", "1", second, 2, query="usb c charger"),
        event("purchase", "1", second, 2, query="usb c charger", propensity=None),
    ]
    events = [{**row, "time": "2024-01-31T12:00:00Z"} for row in rows]
    data = dataset(items=[{"item_id": i, "title": i} for i in (first, second)], events=events)
    report = tmp_path / "report.json"
    arguments = ["evaluate", "--task", "policy", "--data", data, "--bundle", tiny_bundle]
    arguments += ["--positions", "2", "--outcome", "purchase", "--json", report]
    assert main([str(argument) for argument in arguments]) == 0
    assert "doubly robust" in capsys.readouterr().out
    assert json.loads(report.read_text())["ips"]["mean"] == pytest.approx(1 / 0.5)
