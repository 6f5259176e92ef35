"""Saved rows, the tables of the documentation, and their agreement."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.harness.contest import Ratio, Timed
from bench.harness.rows import Contestant, Measurement, Row, Sizes, compare
from bench.report import evaluations, pages, results, tables

OURS = Contestant("Shortlist", 700.0, None, True, "recall 0.9910")
FAST = Contestant("fast", 500.0, Ratio(1.4, 1.3, 1.5), True, "recall 0.9905")
SLOW = Contestant("slow", 100.0, Ratio(7.0, 6.5, 7.5), None, "not compared")
WRONG = Contestant("wrong", 900.0, Ratio(0.78, 0.7, 0.8), False, "recall 0.5")
ROW = Row("sort titles", "titles", 7, (OURS, SLOW, WRONG, FAST))
CONDITIONS = {
    "date": "2026-01-02",
    "commit": "abc1234",
    "digest": "d",
    "processor": "EPYC, 2 cores",
    "numerics": "bfloat16",
    "versions": {"python": "3.11"},
    "sizes": {"rounds": None},
}
ORDER = ["first", "second"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "results.json"
    results.save(path, ORDER, "second", ROW, CONDITIONS)
    results.save(path, ORDER, "first", replace(ROW, work="add titles"), CONDITIONS)
    return path


def test_all_marked_places_agree_with_the_results():
    measured, reports = results.read(), evaluations.read()
    texts = {str(page): page.read_text("utf-8") for page in pages.pages()}
    stale = [page for page, text in texts.items() if pages.filled(text, measured, reports) != text]
    assert stale == [], "run `python -m bench.report --write`"


def test_the_documentation_has_the_table_of_the_fastest_tools():
    places = [page.name for page in pages.pages() if "<!-- bench:" in page.read_text("utf-8")]
    assert {"README.md", "performance.md", "peers.md", "index-search.md"} <= set(places)


def test_saved_rows_are_read_back_in_order(file):
    saved = results.read(file)
    assert list(saved) == ORDER
    assert results.row_of(saved["second"]) == ROW


def test_saving_drops_rows_that_no_longer_exist(file):
    results.save(file, ["second"], "second", ROW, CONDITIONS)
    assert list(results.read(file)) == ["second"]


@pytest.mark.parametrize("name", ["digest", "processor", "numerics", "versions", "sizes"])
def test_a_row_is_current_only_under_the_same_conditions(file, name):
    saved = results.read(file)["first"]
    assert results.is_current(saved, {**CONDITIONS, "date": "2027-01-01", "commit": "def"})
    assert not results.is_current(saved, {**CONDITIONS, name: "another"})
    assert not results.is_current({}, CONDITIONS)


def test_the_conditions_of_now_survive_the_file(tmp_path):
    measurement = Measurement("first", "bench.index.indexes", ("numpy",), lambda *_: ROW)
    now = results.conditions(measurement, Sizes())
    results.save(tmp_path / "results.json", ORDER, "first", ROW, now)
    assert results.is_current(results.read(tmp_path / "results.json")["first"], now)


def test_tools_with_the_same_answers_come_first_then_the_others():
    lines = tables.tools(ROW).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| Shortlist", "| fast", "| slow", "| wrong",
    ]  # fmt: skip
    assert lines[3] == (
        "| fast | 500.0 titles/s | Shortlist is 1.40× as fast [1.30, 1.50] "
        "| same answers: recall 0.9905 |"
    )


def test_searches_also_have_times_and_sizes():
    figures = {"p50_ms": 0.1, "p99_ms": 0.25, "bytes_per_item": 880.0, "setting": "8 visited"}
    searches = [replace(peer, **figures) for peer in (OURS, FAST)]
    line = tables.tools(replace(ROW, contestants=tuple(searches))).splitlines()[3]
    assert "| p50 0.100 ms, p99 0.250 ms | 880 bytes per item | 8 visited |" in line


def test_the_summary_names_the_fastest_tool_with_the_same_answers(file):
    line = tables.summary(results.read(file)).splitlines()[3]
    assert line == (
        "| sort titles | EPYC, 2 cores | Shortlist: 700.0 titles/s | fast: 500.0 titles/s "
        "| Shortlist is 1.40× as fast [1.30, 1.50] | 2026-01-02 at commit abc1234 |"
    )


def test_the_summary_admits_that_no_tool_has_the_same_answers(file):
    results.save(file, ORDER, "second", replace(ROW, contestants=(OURS, WRONG)), CONDITIONS)
    assert "no tool gives the same answers" in tables.summary(results.read(file))


def test_places_are_filled_and_the_text_around_them_stays(file):
    text = "a\n<!-- bench:bullets s* -->\nold\n<!-- /bench -->\nb\n"
    filled = pages.filled(text, results.read(file))
    assert filled.splitlines() == [
        "a",
        "<!-- bench:bullets s* -->",
        "- sort titles: 1.40× as fast [1.30, 1.50] as fast (2026-01-02 at commit abc1234)",
        "<!-- /bench -->",
        "b",
    ]
    assert pages.filled(filled, results.read(file)) == filled
    faster = replace(ROW, contestants=(OURS, replace(FAST, times=Ratio(1.5, 1.3, 1.6))))
    results.save(file, ORDER, "second", faster, CONDITIONS)
    assert pages.filled(filled, results.read(file)) != filled


def test_a_place_without_a_measured_row_says_so(file):
    text = "<!-- bench:summary third -->\n<!-- /bench -->"
    assert "Not measured yet: `python -m bench --only third`." in pages.filled(
        text, results.read(file)
    )


def test_an_unknown_kind_of_place_is_refused(file):
    with pytest.raises(ValueError, match="bench:chart first"):
        pages.filled("<!-- bench:chart first -->\n<!-- /bench -->", results.read(file))


def test_a_report_is_kept_and_fills_the_table_of_quality(tmp_path):
    def value(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}

    names = ("bm25", "bm25_stemmed", "dense", "lexical", "recall", "rerank", "random")
    systems = {name: {"ndcg@10": value(0.5)} for name in names}
    difference = {"a": "rerank", "b": "bm25_stemmed", "metric": "ndcg@10", **value(-0.05)}
    report = {"queries": 1200, "systems": systems, "differences": [difference]}
    (tmp_path / "report").write_text(json.dumps(report))
    evaluations.save("shop", tmp_path / "report", "abc1234", tmp_path)
    reports = evaluations.read(tmp_path)
    places = "<!-- bench:quality shop -->\n<!-- /bench -->\n"
    lines = pages.filled(places, {}, reports).splitlines()
    assert lines[11] == "| rerank − bm25_stemmed | −0.050 [−0.150, +0.050] |  |  |  |"
    assert lines[13].startswith("Measured on 1,200 queries, 2")
    assert lines[13].endswith(" at commit abc1234.")
    lines = pages.filled(places.replace("quality", "quality-short"), {}, reports).splitlines()
    assert lines[3] == "| bm25 | 0.500 [0.400, 0.600] |  |  |"
    assert len(lines) == 11
    with pytest.raises(ValueError, match="quality shop -->: no such evaluation"):
        pages.filled(places, {}, {})


def test_a_tool_agrees_only_if_shortlist_agrees_too():
    timed = {"Shortlist": Timed(np.array([1.0, 2.0, 3.0]), 1), "other": Timed(np.full(3, 4.0), 0)}
    ours, other = compare(timed, 8, lambda answer: (answer == 0, ""))
    assert (ours.speed, other.speed) == (4.0, 2.0)
    assert other.times == Ratio(2.0, 4 / 3, 4.0)
    assert other.same_answers is False


def test_times_of_queries_are_added_up_by_round():
    timed = Timed(np.array([[0.001, 0.003], [0.002, 0.004]]), None)
    assert timed.median_seconds == pytest.approx(0.005)
    assert timed.percentile_ms(50) == pytest.approx(2.5)


def test_the_results_file_is_readable_json():
    assert json.loads(results.FILE.read_text("utf-8"))
